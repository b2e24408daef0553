#!/bin/sh
# Runs `amends demo` with these arguments against what make up has started, from within, since the step services are not reached
# from outside; or, if that does not run, from here, against make run.
set -eu
cd "$(dirname "$0")/../.."

# The version that runs, so that no other one is built.
if version=$(docker compose exec -T api-1 amends version 2>/dev/null); then
	VERSION=${version#amends } exec docker compose run --rm --no-deps demo demo "$@"
fi
CGO_ENABLED=0 go build -o .bin/amends ./cmd/amends
exec .bin/amends demo "$@"
