#!/usr/bin/env bash
# Makes the virtual environment VENV with the optional groups GROUPS of
# pyproject.toml, every version as pinned in constraints.lock.
#   bash Testing/setup.sh VENV GROUPS
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
groups=$2
python=${PYTHON:-python3}

say() { printf 'set-up: %s\n' "$*"; }
stop() { printf 'set-up: %s\n' "$*" >&2; exit 1; }

# Installs Debian/Ubuntu packages where this user may; says which they are where not.
apt_install() {
  command -v apt-get >/dev/null || stop "please install the equivalents of: $*"
  local sudo=""
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || stop "please run: sudo apt-get install $*"
    sudo="sudo"
  fi
  say "installing the system packages $*"
  $sudo apt-get -qq update
  DEBIAN_FRONTEND=noninteractive $sudo apt-get -qq install -y --no-install-recommends "$@" >/dev/null
}

"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null ||
  stop "'$python' is not Python 3.11, 3.12 or 3.13; name one with: make demo PYTHON=python3.12"

if [ ! -x "$venv/bin/python" ]; then
  say "making the virtual environment $venv"
  "$python" -m venv "$venv" >/dev/null 2>&1 || {
    # Debian's python3 comes without ensurepip.
    apt_install "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    rm -rf "$venv"
    "$python" -m venv "$venv"
  }
fi

say "installing the Python packages for: $groups"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  --constraint Testing/constraints.lock --editable ".[$groups]"

# Qt and VTK's off-screen rendering need a few system libraries and one font,
# which a bare server does not have.
if ! "$venv/bin/python" Testing/check_system.py 2>/dev/null; then
  apt_install libegl1 libgl1 libgl1-mesa-dri libopengl0 libglib2.0-0 libdbus-1-3 libfontconfig1 libxkbcommon0 \
    libxrender1 libxext6 libsm6 libice6 libxcb-cursor0 libxkbcommon-x11-0 libxcb-icccm4 \
    libxcb-image0 libxcb-keysyms1 libxcb-render-util0 libxcb-shape0 libxcb-randr0 \
    libxcb-xinerama0 fonts-dejavu-core
  "$venv/bin/python" Testing/check_system.py
fi
say "done"
