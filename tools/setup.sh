#!/usr/bin/env bash
# Sets up the controller, once: a Python, a virtual environment with hash-locked requirements, and (for the lab) Debian
# packages. Says in one line what is missing where it cannot help.
# usage: setup.sh venv | plots | lab
set -euo pipefail
cd "$(dirname "$0")/.."
# Where Debian keeps the tools of root; not on everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin

fail() { echo "setup: $*" >&2 && exit 1; }

# ansible-core 2.21 needs 3.12 on the controller.
is_new_enough() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; }

find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.14 python3.13 python3.12 python3 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9]*/bin/python3; do
    if [ -n "$candidate" ] && command -v "$candidate" >/dev/null && is_new_enough "$candidate"; then
      command -v "$candidate" && return
    fi
  done
  fail "no Python 3.12 or newer with venv on PATH or in pyenv: install one (Debian trixie: apt-get install python3-venv; else: pyenv install 3.13) or set PYTHON=/path/to/python3"
}

setup_venv() {
  local wanted python
  wanted=$(sha256sum requirements/controller.txt | cut -d' ' -f1)
  [ "$(cat .venv/.complete 2>/dev/null)" = "$wanted" ] && return
  python=$(find_python)
  echo "setup: virtual environment with $("$python" --version) (once)"
  rm -rf .venv
  "$python" -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/controller.txt
  echo "$wanted" >.venv/.complete
}

# What draws the plots of the sizing report, and nothing else needs.
setup_plots() {
  local wanted
  wanted=$(sha256sum requirements/plots.txt | cut -d' ' -f1)
  [ "$(cat .venv/.plots 2>/dev/null)" = "$wanted" ] && return
  echo "setup: packages that draw plots (once)"
  .venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/plots.txt
  echo "$wanted" >.venv/.plots
}

setup_lab() {
  local missing=() package
  # package, and a command that it brings
  while read -r package command; do
    command -v "$command" >/dev/null || [ -x "/usr/lib/podman/$command" ] || missing+=("$package")
  done <<'PACKAGES'
podman podman
runc runc
mmdebstrap mmdebstrap
netavark netavark
iptables iptables
openssh-client ssh-keyscan
shellcheck shellcheck
PACKAGES
  [ ${#missing[@]} -eq 0 ] && return
  [ "$(id -u)" -eq 0 ] || fail "the lab needs root, and the packages: ${missing[*]}"
  command -v apt-get >/dev/null || fail "the lab needs a Debian-like system, or these installed by hand: ${missing[*]}"
  echo "setup: installing ${missing[*]} (once)"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
    fail "apt-get could not install: ${missing[*]}"
}

case "${1:-}" in
  venv) setup_venv ;;
  plots) setup_plots ;;
  lab) setup_lab ;;
  *) fail "usage: setup.sh venv | plots | lab" ;;
esac
