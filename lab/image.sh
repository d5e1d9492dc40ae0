#!/usr/bin/env bash
# Builds the image of a lab host: Debian with systemd and SSH, and the packages that a lab host may need,
# so that no converge of the lab downloads anything. The image's tag is a hash of this file.
# usage: image.sh NAME:TAG [PACKAGE...]
# The hooks' $1 is mmdebstrap's, not this script's.
# shellcheck disable=SC2016
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

packages=(
  systemd systemd-sysv dbus openssh-server ca-certificates procps iproute2 curl sudo socat
  python3 python3-venv python3-packaging python3-apt
  haproxy              # admission
  postgresql redis-server  # the data host; stopped everywhere else
  pgbouncer            # a pooler before the database, while it is measured
  nginx                # the proxy at the edge; stopped everywhere else
  libfaketime          # a host whose clock jumps, without the others'
  "${@:2}"
)
include=$(IFS=, && echo "${packages[*]}")

mmdebstrap --quiet --variant=minbase --include="$include" \
  --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --customize-hook='chroot "$1" systemctl mask systemd-modules-load.service getty.target' \
  --customize-hook='chroot "$1" systemctl disable haproxy.service redis-server.service postgresql.service pgbouncer.service nginx.service' \
  --customize-hook='mkdir -p "$1/root/.ssh" && chmod 700 "$1/root/.ssh"' \
  trixie "$work/host.tar"

podman import --quiet "$work/host.tar" "$1" >/dev/null
