#!/bin/sh
# Makes the roles and databases of Temporal and of the step services. PostgreSQL's image runs it once, when its data is new.
set -eu
secrets=${SECRETS:-/run/secrets}
temporal=$(cat "$secrets/temporal-password")
migrate=$(sed 's/.*://' "$secrets/migrate-pgpass")
services=$(sed 's/.*://' "$secrets/services-pgpass")
export temporal migrate services

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv temporal temporal
\getenv migrate migrate
\getenv services services
CREATE ROLE temporal LOGIN PASSWORD :'temporal';
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
CREATE ROLE amends LOGIN PASSWORD :'migrate';
CREATE ROLE amends_services LOGIN PASSWORD :'services';
CREATE DATABASE amends OWNER amends;
REVOKE ALL ON DATABASE temporal, temporal_visibility, amends FROM PUBLIC;
GRANT CONNECT ON DATABASE amends TO amends_services;
SQL
