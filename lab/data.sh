#!/usr/bin/env bash
# Runs inside the lab's data host: PostgreSQL and Redis of Debian, reachable from the lab's own network. Idempotent.
# usage: data.sh SUBNET
set -euo pipefail
subnet=$1

version=$(ls /usr/lib/postgresql)
settings="/etc/postgresql/$version/main/conf.d/lab.conf"
access="/etc/postgresql/$version/main/pg_hba.conf"
echo "listen_addresses = '*'" >"$settings"
grep -qF "$subnet" "$access" || echo "host all all $subnet scram-sha-256" >>"$access"
# hz: it looks for what has expired once a second, which is enough for tests, and not ten times.
sed -i -e 's/^bind .*/bind * -::*/' -e 's/^protected-mode .*/protected-mode no/' -e 's/^hz .*/hz 1/' /etc/redis/redis.conf

systemctl enable --quiet --now postgresql redis-server
systemctl is-active --quiet "postgresql@$version-main"

as_postgres() { runuser -u postgres -- psql --quiet --no-psqlrc --tuples-only --no-align --command "$1"; }
[ -n "$(as_postgres "SELECT 1 FROM pg_roles WHERE rolname = 'plane'")" ] ||
  as_postgres "CREATE ROLE plane LOGIN PASSWORD 'plane-lab'"
[ -n "$(as_postgres "SELECT 1 FROM pg_database WHERE datname = 'plane'")" ] ||
  as_postgres "CREATE DATABASE plane OWNER plane"
