#!/usr/bin/env bash
# Sets up the controller, once: a Python, a virtual environment with hash-locked requirements, and (for the lab) Debian
# packages; for AWS, Terraform's settings and the collection amazon.aws. Says in one line what is missing where it cannot
# help.
# usage: setup.sh venv | plots | lab | prometheus | terraform | aws | checkov | load | docs | bench
set -euo pipefail
cd "$(dirname "$0")/.."
# Where Debian keeps the tools of root; not on everybody's PATH.
PATH=$PATH:/usr/sbin:/sbin

fail() { echo "setup: $*" >&2 && exit 1; }

# ansible-core 2.21 needs 3.12 on the controller.
is_new_enough() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; }

# The newest there is: from one to the next, a run takes less of a processor.
find_python() {
  local candidate version pyenv=${PYENV_ROOT:-$HOME/.pyenv}/versions
  local candidates=("${PYTHON:-}")
  for version in 3.14 3.13 3.12; do
    candidates+=("python$version" "$pyenv/$version"*/bin/python3)
  done
  for candidate in "${candidates[@]}" python3; do
    if [ -n "$candidate" ] && command -v "$candidate" >/dev/null && is_new_enough "$candidate"; then
      # Not that of an environment, which may be the one that is made again.
      "$candidate" -c 'import sys; print(sys._base_executable)' && return
    fi
  done
  fail "no Python 3.12 or newer with venv on PATH or in pyenv: install one (Debian trixie: apt-get install python3-venv; else: pyenv install 3.13) or set PYTHON=/path/to/python3"
}

# A virtual environment with what a file of requirements locks; again where the file has changed.
setup_environment() {
  local folder=$1 requirements=$2 wanted python
  wanted=$(sha256sum "$requirements" | cut -d' ' -f1)
  [ "$(cat "$folder/.complete" 2>/dev/null)" = "$wanted" ] && return
  python=$(find_python)
  echo "setup: virtual environment $folder with $("$python" --version) (once)"
  rm -rf "$folder"
  "$python" -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement "$requirements"
  echo "$wanted" >"$folder/.complete"
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

# The load generator of `make bench`.
setup_bench() {
  command -v h2load >/dev/null && return
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    fail "the benchmark needs h2load on PATH (Debian: nghttp2-client), and root to install it"
  fi
  echo "setup: installing nghttp2-client (once)"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nghttp2-client >/dev/null 2>&1 ||
    fail "apt-get could not install: nghttp2-client"
}

# prometheus and promtool for tests that start them. Unpacked, not installed: the package would start a service.
setup_prometheus() {
  local download
  PATH=$PATH:$PWD/build/prometheus/usr/bin
  command -v prometheus >/dev/null && command -v promtool >/dev/null && return
  command -v apt-get >/dev/null || fail "the tests of the gate need prometheus and promtool on PATH"
  echo "setup: Debian's prometheus into build/prometheus (once)"
  download=$(mktemp -d)
  (cd "$download" && apt-get download prometheus >/dev/null 2>&1) || fail "apt-get could not download prometheus: apt-get update?"
  dpkg-deb --extract "$download"/prometheus_*.deb build/prometheus
  rm -rf "$download"
}

# Folders in which an unpacked mirror of providers may lie: what Terraform itself looks into, and what machines without a
# registry have under /opt, /srv and /usr. A mirror is a folder that holds <host>/hashicorp/aws/<version>.
find_mirror() {
  local folder
  folder=$(find "${XDG_DATA_HOME:-$HOME/.local/share}/terraform/plugins" "$HOME/.terraform.d/plugins" /usr/share/terraform/plugins \
    /usr/local/share/terraform/plugins /opt /srv /usr/lib/terraform -maxdepth 6 -type d -path '*.*/hashicorp/aws/[0-9]*' -print -quit \
    2>/dev/null || true)
  [ -z "$folder" ] || dirname "$(dirname "$(dirname "$(dirname "$folder")")")"
}

# Writes build/terraform/rc: a copy of the user's own configuration where there is one; else the machine's mirror where
# there is one; else a cache, so that the provider is downloaded once for all modules.
setup_terraform() {
  local own mirror
  command -v terraform >/dev/null || fail "no terraform on PATH: install 1.11 or newer (it is not in Debian)"
  mkdir -p build/terraform/cache
  own=${TF_CLI_CONFIG_FILE:-$HOME/.terraformrc}
  mirror=$(find_mirror)
  if [ -f "$own" ]; then
    [ "$own" -ef build/terraform/rc ] || cp "$own" build/terraform/rc
  elif [ -n "$mirror" ]; then
    printf 'provider_installation {\n  filesystem_mirror {\n    path = "%s"\n  }\n}\n' "$mirror" >build/terraform/rc
  else
    # No lock file is kept (terraform/README.md), so there is none to break.
    printf 'plugin_cache_dir = "%s"\nplugin_cache_may_break_dependency_lock_file = true\n' "$PWD/build/terraform/cache" >build/terraform/rc
  fi
}

# The inventory plugin for EC2 and the lookup of secrets. They are published on PyPI only inside the package `ansible`,
# of which everything else stays where it is. Its version belongs to ansible-core's in controller.in.
setup_aws() {
  local target download
  target=$(.venv/bin/python -c 'import ansible, pathlib; print(pathlib.Path(ansible.__file__).parent.parent / "ansible_collections")')
  [ -d "$target/amazon/aws" ] && return
  echo "setup: collection amazon.aws (once)"
  download=$(mktemp -d)
  .venv/bin/pip download --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements/collections.txt --dest "$download"
  .venv/bin/python - "$download" "$target" <<'UNPACK'
import pathlib, shutil, sys, zipfile

download, target = map(pathlib.Path, sys.argv[1:])
(wheel,) = download.glob("*.whl")
with zipfile.ZipFile(wheel) as package:
    package.extractall(download, [name for name in package.namelist() if name.startswith("ansible_collections/amazon/")])
(target / "amazon").mkdir(parents=True, exist_ok=True)
shutil.move(download / "ansible_collections/amazon/aws", target / "amazon/aws")
UNPACK
  rm -rf "$download"
}

case "${1:-}" in
  venv) setup_environment .venv requirements/controller.txt ;;
  plots) setup_environment build/plots requirements/plots.txt ;;
  lab) setup_lab ;;
  prometheus) setup_prometheus ;;
  terraform) setup_terraform ;;
  aws) setup_aws ;;
  checkov) setup_environment build/checkov requirements/checkov.txt ;;
  load) setup_environment build/load requirements/load.txt ;;
  bench) setup_bench ;;
  docs) setup_environment build/zensical requirements/docs.txt ;;
  *) fail "usage: setup.sh venv | plots | lab | prometheus | terraform | aws | checkov | load | docs | bench" ;;
esac
