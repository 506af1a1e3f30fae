#!/usr/bin/env bash
# Build the sensor image from deploy/sensor/Containerfile, check its contents, and run the DaemonSet tests with it.
#
#   scripts/image-check.sh
#   BASE=mirror.example/python:3.13-slim-bookworm scripts/image-check.sh --network=host
#
# Further options go to podman build. Requires root and a network: the base image, Debian's packages, PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."
image=localhost/driftwatch-sensor:check
podman build ${BASE:+--build-arg "BASE=$BASE"} --build-arg "COMMIT=$(git rev-parse HEAD)" "$@" -f deploy/sensor/Containerfile -t "$image" .
podman image inspect --format '{{.Size}} bytes in {{len .RootFS.Layers}} layers' "$image"
root=$(podman image mount "$image")
trap 'podman image unmount "$image" >/dev/null' EXIT
left=$(cd "$root" && find usr/bin usr/local/bin -name 'pip*' -o -name 'gcc*' -o -name cc -o -name make)
[ -z "$left" ] || { echo "image-check: the image contains build tools: $left" >&2; exit 1; }
sh scripts/setup.sh
SENSOR_IMAGE=$image .venv/bin/python -m pytest tests/system/test_daemonset.py
