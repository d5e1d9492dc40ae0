#!/bin/bash
# PostgreSQL of Debian as a container runs it, by the variables of upstream's compose file.
set -euo pipefail
export PGDATA=${PGDATA:-/var/lib/postgresql/data}
programs=$(echo /usr/lib/postgresql/*/bin)

as_postgres() { runuser -u postgres -- "$@"; }

mkdir -p "$PGDATA" /run/postgresql
chown postgres: "$PGDATA" /run/postgresql
chmod 700 "$PGDATA"
if ! [ -e "$PGDATA/PG_VERSION" ]; then
  password=$(as_postgres mktemp)
  printf %s "$POSTGRES_PASSWORD" >"$password"
  as_postgres "$programs/initdb" --username="$POSTGRES_USER" --auth=scram-sha-256 --pwfile="$password" >/dev/null
  rm "$password"
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  printf 'CREATE DATABASE "%s"\n' "$POSTGRES_DB" | as_postgres "$programs/postgres" --single -j postgres >/dev/null
fi
exec runuser -u postgres -- "$programs/postgres" -c listen_addresses='*' -c max_connections=1000
