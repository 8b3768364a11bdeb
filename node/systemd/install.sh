#!/bin/sh
# Installs a node as a service of systemd; `make install` runs it, docs/how-to/raspberry-pi.md says what to do then.
#   PREFIX    where the virtual environment goes (/opt/edgetune)
#   DESTDIR   put in front of every path, to look at an installation or to package it
#   EXTRA     "[serial,train]" brings the source for serial lines, and torch and the whole search; without train: closed-form
#             candidates only
#   PYTHON    Python 3.11 or newer (python3)
# Run again it upgrades: configuration and data stay. Services are not touched.
set -eu
umask 022
prefix=${PREFIX:-/opt/edgetune} destdir=${DESTDIR:-} extra=${EXTRA-[serial,train]} python=${PYTHON:-python3}
root=$(cd "$(dirname "$0")/../.." && pwd)
case $prefix in
  /*) ;;
  *) echo "PREFIX must be an absolute path, not $prefix" >&2; exit 2 ;;
esac
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "edgetune needs Python 3.11 or newer; name one: make install PYTHON=python3.12" >&2
  exit 1
}
venv=$destdir$prefix/.venv
mkdir -p "$destdir$prefix" "$destdir/etc/edgetune" "$destdir/etc/systemd/system"
"$python" -m venv "$venv" || {
  echo "Python's venv module is missing; on Debian and Raspberry Pi OS: apt install python3-venv" >&2
  exit 1
}

# From a copy: a build leaves folders behind, and here they would be root's.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp "$root/pyproject.toml" "$root/README.md" "$root/LICENSE" "$copy"
"$python" -c '
import shutil, sys
root, copy = sys.argv[1:]
for part in ("signal", "nas", "node"):  # without what a program that runs from here may be writing
    shutil.copytree(f"{root}/{part}", f"{copy}/{part}", ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
' "$root" "$copy"
echo "installing edgetune$extra into $venv: some minutes"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$root/constraints.txt" "$copy$extra"

# Commands name their interpreter, which will stand where DESTDIR is gone.
[ -z "$destdir" ] || find "$venv/bin" -type f -exec sed -i "1,3s|$destdir$prefix|$prefix|g" {} +

cp "$root/README.md" "$root/config.example.toml" "$destdir$prefix/"
sed "s|/opt/edgetune/|$prefix/|g" "$root/node/systemd/edgetune.service" >"$destdir/etc/systemd/system/edgetune.service"
[ -e "$destdir/etc/edgetune/config.toml" ] ||
  sed 's|^#data_dir = "data"|data_dir = "/var/lib/edgetune"|' "$root/config.example.toml" >"$destdir/etc/edgetune/config.toml"
cat <<END
edgetune is in $prefix, its configuration in /etc/edgetune/config.toml. Now, as root:
  edit /etc/edgetune/config.toml, and put the broker's password into /etc/edgetune/mqtt_password (mode 0600);
  where the broker wants none, remove the line LoadCredential= from /etc/systemd/system/edgetune.service
  $prefix/.venv/bin/edgetune doctor --config /etc/edgetune/config.toml
  systemctl daemon-reload && systemctl enable --now edgetune
END
