#!/usr/bin/env bash
# Makes an image that holds Debian's Caddy and nothing that runs by itself: the program is copied out of it.
# usage: caddy.sh NAME:TAG
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mmdebstrap --quiet --variant=extract --include=caddy trixie "$work/caddy.tar"
podman import --quiet "$work/caddy.tar" "$1" >/dev/null
