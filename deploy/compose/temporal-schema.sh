#!/bin/sh
# Makes Temporal's tables, and upgrades them when its version is newer. The databases are there: postgres.sh made them.
set -eu
SQL_PASSWORD=$(cat /run/secrets/temporal-password)
export SQL_PASSWORD
schema=/etc/temporal/schema/postgresql/v12

for database in temporal temporal_visibility; do
	temporal-sql-tool --database "$database" setup-schema --version 0.0
	temporal-sql-tool --database "$database" update-schema --schema-dir "$schema/${database#temporal_}/versioned"
done
