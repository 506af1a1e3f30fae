#!/bin/sh
# Build the sensor's kernel object, or with --check compare a fresh build with the committed one.
#
# clang-14 with these flags is reproducible in any directory, so anybody can check that the committed object
# matches its source, but for debug sections that the kernel never loads. Do not rebuild it for a change of comments
# alone: a sensor takes over only pins of the very same object, and would drop the execs that an upgrade left in them.
# Exit status of --check: 0 same program, 1 different, 2 cannot build.
set -eu
cd "$(dirname "$0")/.."
source=sensor/capture/bpf/exec.bpf.c
object=sensor/capture/bpf/exec.bpf.o
clang=${CLANG:-clang-14}

command -v "$clang" >/dev/null || { echo "build-bpf: needs $clang (Debian: apt-get install clang-14 libbpf-dev)" >&2; exit 2; }
[ -e /usr/include/bpf/bpf_helpers.h ] || { echo "build-bpf: needs libbpf's headers (Debian: apt-get install libbpf-dev)" >&2; exit 2; }

build() {
    "$clang" -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-declarations \
        -ffile-prefix-map="$PWD"=. -fdebug-compilation-dir=. -c "$source" -o "$1"
}

if [ "${1:-}" != --check ]; then
    build "$object"
    exit
fi
fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT
build "$fresh"
python3 scripts/same_bpf_object.py "$fresh" "$object" || { echo "build-bpf: $object does not match $source: run scripts/build-bpf.sh" >&2; exit 1; }
