#!/bin/sh
# Write .env for compose.yaml: sh prepare.sh DOMAIN EMAIL [IMAGE]. An existing file is kept: it has the keys of the data.
set -eu
cd "$(dirname "$0")"
[ $# -ge 2 ] || { echo "prepare: sh prepare.sh DOMAIN EMAIL [IMAGE]" >&2; exit 2; }
case $1 in *[!A-Za-z0-9.-]* | "" | -* | .*) echo "prepare: $1 is not a host name" >&2; exit 2 ;; esac
case $2 in *[!A-Za-z0-9._%+@-]* | @* | *@) echo "prepare: $2 is not an email address" >&2; exit 2 ;; *@*) ;; *) echo "prepare: $2 is not an email address" >&2; exit 2 ;; esac
[ ! -e .env ] || { echo "prepare: .env exists and is kept" >&2; exit 1; }
random() { head -c 36 /dev/urandom | base64 | tr -d '\n' | tr '+/' '-_'; }
umask 077
cat >.env.new <<ENV
# The keys of this portal: keep a copy with its backups, apart from them.
IMAGE=${3:-registry.example/driftwatch-portal:0.2.0}
DOMAIN=$1
OWNER_EMAIL=$2
SECRET_KEY=$(random)
POSTGRES_PASSWORD=$(random)
OWNER_PASSWORD=$(random)
PORTAL_PASSWORD=$(random)
VALKEY_PASSWORD=$(random)
ENV
mv .env.new .env
echo "Wrote .env. Next: docker compose up -d, or podman compose up -d"
