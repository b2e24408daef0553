#!/bin/sh
# Makes the secrets of docker-compose.yml in a folder, each with random content; those that are there stay.
#
# The containers run as several users, and Compose mounts a secret with the permissions of its file: so the files can be read by
# anybody, and the folder by its owner alone.
set -eu
dir=${1:?"usage: secrets.sh FOLDER"}
mkdir -p "$dir"
chmod 700 "$dir"

# random prints 32 letters and digits.
random() { LC_ALL=C tr -dc 'A-Za-z0-9' </dev/urandom | head -c 32; }

# make NAME PREFIX writes a secret, unless it is there. It appears whole or not at all.
make() {
	if [ ! -e "$dir/$1" ]; then
		printf '%s%s' "$2" "$(random)" >"$dir/$1.new"
		chmod 444 "$dir/$1.new"
		mv "$dir/$1.new" "$dir/$1"
	fi
}

make postgres-password ''
make temporal-password ''
make grafana-password ''
# As PostgreSQL's clients read them: host:port:database:user:password.
make migrate-pgpass '*:*:*:amends:'
make services-pgpass '*:*:*:amends_services:'
