#!/bin/sh
# Starts docker-compose.yml, waits until all of it is healthy, and says where it is. The first time it makes the secrets, a key
# that encrypts what sagas carry, and an API key for whoever starts it.
set -eu
cd "$(dirname "$0")/../.."
secrets=.amends/secrets

deploy/compose/secrets.sh "$secrets"
if [ ! -e "$secrets/api-key" ]; then
	docker compose run --rm --no-deps -T keys payload-keys rotate
	(umask 077 && docker compose run --rm --no-deps -T keys keys create --name operations --role admin >"$secrets/api-key.new")
	mv "$secrets/api-key.new" "$secrets/api-key"
fi
chmod 444 "$secrets/api-key" # as the other secrets, for the demo
docker compose up --detach --build --wait --remove-orphans

cat <<TEXT

API          http://127.0.0.1:8080/docs
Web UI       http://127.0.0.1:8233
Grafana      http://127.0.0.1:3000  (admin, $secrets/grafana-password)
API key      $secrets/api-key, an admin's

  export AMENDS_API_KEY=\$(cat $secrets/api-key)
  amends order place -f examples/orders/good.json --watch
  make demo
TEXT
