#!/usr/bin/env bash
# Build the images of sensor and portal from their Containerfiles, check their contents, and run them: the sensor's
# DaemonSet, and compose.yaml with a real drift that becomes an alert.
#
#   scripts/image-check.sh
#   BASE=mirror.example/python:3.13-slim-bookworm POSTGRES=mirror.example/postgres:18-bookworm scripts/image-check.sh --network=host
#
# Further options go to podman build. Requires root and a network: Debian's packages, PyPI, and the base images or, where
# no registry is reachable, what scripts/local-bases.sh needs to make them.
set -euo pipefail
cd "$(dirname "$0")/.."
commit=$(git rev-parse HEAD)
if [ -z "${BASE:-}" ] && ! podman pull --quiet "$(sed -n 's/^ARG BASE=//p' deploy/sensor/Containerfile)" >/dev/null; then
    echo "image-check: no registry is reachable: scripts/local-bases.sh makes the bases" >&2
    bases=$(scripts/local-bases.sh) # of its own: where it fails, so does this
    eval "$bases"
    set -- --network=host "$@"
fi
build() { # NAME, further options
    local name=$1
    shift
    podman build ${BASE:+--build-arg "BASE=$BASE"} --build-arg "COMMIT=$commit" "$@" \
        -f "deploy/$name/Containerfile" -t "localhost/driftwatch-$name:check" .
    podman image inspect --format '{{.Size}} bytes in {{len .RootFS.Layers}} layers' "localhost/driftwatch-$name:check"
}
no_build_tools() { # NAME
    local image=localhost/driftwatch-$1:check root left
    root=$(podman image mount "$image")
    left=$(cd "$root" && find usr/bin usr/local/bin -name 'pip*' -o -name 'gcc*' -o -name cc -o -name make -o -name npm)
    podman image unmount "$image" >/dev/null
    [ -z "$left" ] || { echo "image-check: $image contains build tools: $left" >&2; exit 1; }
}
runs() { # NAME, options
    local name=$1 printed
    shift
    printed=$(podman run --rm --read-only --cap-drop=all --network=none "$@")
    echo "$printed"
    case $printed in *"$name"*) ;; *) echo "image-check: expected $name" >&2; exit 1 ;; esac
}
build portal ${POSTGRES:+--build-arg "POSTGRES=$POSTGRES"} "$@"
no_build_tools portal
runs "+g${commit:0:8}" localhost/driftwatch-portal:check --version
for program in pg_dump pg_restore; do
    runs "(PostgreSQL)" --entrypoint "$program" localhost/driftwatch-portal:check --version
done
build sensor "$@"
no_build_tools sensor
runs "+g${commit:0:8}" localhost/driftwatch-sensor:check --version
sh scripts/setup.sh
sh scripts/system-packages.sh
DRIFTWATCH_NO_SKIPS=1 SENSOR_IMAGE=localhost/driftwatch-sensor:check PORTAL_IMAGE=localhost/driftwatch-portal:check \
    .venv/bin/python -m pytest tests/system/test_daemonset.py tests/system/test_from_artefacts.py
