#!/bin/sh
# Installs the Debian packages that tests, or with the argument `bench` the sensor's benchmark, need and that are missing;
# with `long` also those of the long drills.
#
# Only as root on Debian. Elsewhere tests skip with their reason, and the benchmark names what it needs.
set -eu
command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ] || exit 0
install() {
    echo "Installing$missing …"
    apt-get update -qq
    # shellcheck disable=SC2086 # several packages
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
missing=
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need podman podman
need runc runc
need busybox busybox-static
need clang-14 clang-14
packages="libbpf-dev libbpf1 busybox-static"
if [ "${1:-}" = bench ]; then
    need bpftool bpftool
else
    [ -n "${CHROME:-}" ] || need chromium chromium
    need containerd containerd
    need kubectl kubernetes-client
    need unshare util-linux
    need nginx nginx-light
    need caddy caddy
    need jq jq
    need redis-check-rdb redis-tools # has the server, which speaks TLS, and starts none
    need curl curl
    need openssl openssl
    need systemd-analyze systemd
    need make make
    need mkfs.xfs xfsprogs
    need mkfs.btrfs btrfs-progs
    need fuse-overlayfs fuse-overlayfs
    need ip iproute2
    packages="$packages libfaketime"
    /usr/bin/python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
fi
[ "${1:-}" != long ] || packages="$packages libevent-2.1-7 libc-ares2"
for package in $packages; do
    dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
[ -z "$missing" ] || install
# Of the package prometheus the one program: installing it would start a server.
if [ "${1:-}" != bench ] && ! command -v promtool >/dev/null 2>&1; then
    promtool=$(mktemp -d)
    (cd "$promtool" && apt-get update -qq && apt-get download -qq prometheus >/dev/null 2>&1 &&
        dpkg-deb --extract prometheus_*.deb . && cp usr/bin/promtool /usr/local/bin/) ||
        echo "promtool could not be fetched: tests of the alert rules will be skipped."
    rm -r "$promtool"
fi
# So is PgBouncer.
if [ "${1:-}" = long ] && ! command -v pgbouncer >/dev/null 2>&1; then
    pgbouncer=$(mktemp -d)
    (cd "$pgbouncer" && apt-get download -qq pgbouncer >/dev/null 2>&1 && dpkg-deb --extract pgbouncer_*.deb . &&
        cp usr/sbin/pgbouncer /usr/local/bin/)
    rm -r "$pgbouncer"
fi
[ "${1:-}" = bench ] || PYTHON=/usr/bin/python3 sh "$(dirname "$0")/helm.sh" >/dev/null ||
    echo "Helm could not be fetched: tests of the charts will be skipped."
