#!/bin/sh
# As root on Debian, install what browser and container tests need. Elsewhere those tests skip, with the reason.
set -eu
command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ] || exit 0
missing=
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
[ -n "${CHROME:-}" ] || need chromium chromium
need podman podman
need runc runc
need containerd containerd
need kubectl kubernetes-client
need busybox busybox-static
need clang-14 clang-14
need unshare util-linux
need make make
/usr/bin/python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
for package in libbpf-dev libbpf1 busybox-static; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "Installing$missing …"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
