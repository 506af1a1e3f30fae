#!/usr/bin/env bash
# Try who wrote a file, and how a process came into its container, on Debian's kernels that let functions be traced.
#
#   scripts/vm-provenance.sh [bookworm|trixie]...
#
# A machine in emulation, with an empty disk: two minutes a kernel. Takes the kernels that
# scripts/vm-load.sh has fetched. Requires gcc, qemu-system-x86, busybox-static and libbpf1. CHECKS chooses what is tried:
#
#   provenance   every case of docs/detection.md#writers (the default)
#   hook         a container in which a hook of the runtime runs before its first process
#   planted      five workloads with apt, pip, npm, go and a self-updater, and the starter rule for each: a quarter of an hour.
#                PLANTED names some of them. Requires apt, node with npm, and a Go of Debian's golang-1.19, which is fetched
#   drops        the attackers' drops of tests/system/drops.py, second_drops.jsonl and third_drops.jsonl: none may be hidden. DROPS
#                names some of them: first, second, third
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- bookworm trixie
VM_DIR=${VM_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/driftwatch-vm/load}
CHECKS=${CHECKS:-provenance}
PLANTED=${PLANTED:-}
DROPS=${DROPS:-first second third}
python=$(readlink -f .venv/bin/python)
prefix=$("$python" -c 'import sys; print(sys.base_prefix)')
packages=$(.venv/bin/python -c 'import msgspec, pathlib; print(pathlib.Path(msgspec.__file__).parent)')
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

libraries() { ldd "$@" 2>/dev/null | grep -o '/[^ :]*\.so[^ :]*' | sort -u; }

make_root() {
    local root=$1 library
    mkdir -p "$root"/{bin,proc,sys,tmp,dev,app/tests,box,lib64,lib/x86_64-linux-gnu} "$root$prefix"/{bin,lib}
    cp /bin/busybox "$root/bin/"
    cp "$python" "$root$prefix/bin/python"
    (cd "$prefix/lib" && tar c --exclude=test --exclude=site-packages --exclude=__pycache__ --exclude='config-*' "$(basename "$("$python" -c 'import os; print(os.path.dirname(os.__file__))')")") | tar x -C "$root$prefix/lib"
    for library in $(libraries "$python" "$packages"/*.so "$("$python" -c 'import _ctypes; print(_ctypes.__file__)')" /usr/lib/x86_64-linux-gnu/libbpf.so.1) /usr/lib/x86_64-linux-gnu/libbpf.so.1 /lib/x86_64-linux-gnu/libc.so.6; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
    mkdir -p "$root/app/tests/system"
    cp -r sensor "$packages" "$root/app/"
    cp tests/__init__.py "$root/app/tests/"
    cp -r tests/system/{__init__,drops,second_drops}.py tests/system/vm "$root/app/tests/system/"
    gcc -O1 -Wall -Wextra -static -o "$root/app/writers" tests/system/tools/writers.c
    gcc -O1 -Wall -Wextra -o "$root/app/writers-dynamic" tests/system/tools/writers.c
    gcc -O1 -Wall -Wextra -static -o "$root/app/overwrite" tests/system/tools/overwrite.c
    echo 'int unused;' | gcc -shared -fPIC -x c - -o "$root/app/preload.so"
}

# A container's image like Debian's, at /image of the machine, and the starter rules.
make_image() {
    local root=$1 go=$VM_DIR/go-1.19 work
    if [[ $CHECKS == *planted* ]] && [ ! -d "$go" ]; then
        work=$(mktemp -d)
        (cd "$work" && apt-get -qq download golang-1.19-go golang-1.19-src && for package in *.deb; do dpkg-deb -x "$package" new; done)
        mv "$work/new" "$go"
        rm -r "$work"
    fi
    if [[ $CHECKS == *planted* ]]; then
        .venv/bin/python -m tests.system.debian_root "$root/image" --npm --go "$go/usr/lib/go-1.19"
        .venv/bin/python -m tests.system.planted_inputs "$root/image/inputs"
    else
        .venv/bin/python -m tests.system.debian_root "$root/image"
    fi
    mkdir -p "$root/image/usr/share/grafana/bin" "$root/image/builds" "$root/image/shared" "$root/image/payload"
    cp "$root/app/writers" "$root/image/usr/share/grafana/bin/grafana"
    chmod 1777 "$root/image/shared"
    mknod -m 666 "$root/image/dev/null" c 1 3
    mknod -m 666 "$root/image/dev/urandom" c 1 9
    .venv/bin/python -m tests.system.second_drops "$root/image/drops" "$root/image/payload"
    .venv/bin/python -m tests.system.starter_rules_file "$root/app/rules.json"
}

# ROOT, and the module of tests/system/vm that it runs, with its arguments.
make_init() {
    cat >"$1/init" <<INIT
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:/lib/x86_64-linux-gnu
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp; mount -t tmpfs box /box
mount -t tracefs tracefs /sys/kernel/tracing
echo "KERNEL \$(uname -r)"
insmod /overlay.ko
$prefix/bin/python -S -m tests.system.vm.$2 2>&1
echo DONE
poweroff -f
INIT
    chmod +x "$1/init"
}

# SUITE, then the module of tests/system/vm with its arguments.
check() {
    local module
    module=$(find -L "$VM_DIR/amd64-$1" -name 'overlay.ko*' | head -n 1)
    case $module in *.xz) xz -dc "$module" ;; *) cat "$module" ;; esac >"$scratch/root/overlay.ko"
    make_init "$scratch/root" "$2"
    (cd "$scratch/root" && find . | busybox cpio -o -H newc 2>/dev/null) >"$scratch/initrd"
    rm -f "$scratch/disk"
    truncate -s 1G "$scratch/disk"
    mkfs.ext4 -q "$scratch/disk"
    timeout 3600 qemu-system-x86_64 -accel tcg -cpu max -m 4G -smp 1 -nographic -no-reboot -nic none \
        -drive "file=$scratch/disk,if=none,id=disk,format=raw" -device nvme,drive=disk,serial=1 \
        -kernel "$VM_DIR/amd64-$1"/boot/vmlinuz-* -initrd "$scratch/initrd" -append "console=ttyS0 quiet panic=-1" >"$scratch/log" </dev/null
    tr -d '\r' <"$scratch/log" | sed -n '/KERNEL/,/DONE/p'
    grep -q '^RESULT 0 wrong' "$scratch/log"
}

make_root "$scratch/root"
modules=()
for name in ${CHECKS//,/ }; do
    case $name in
    provenance) modules+=(provenance) ;;
    hook) modules+=(hook) ;;
    planted) modules+=("planted $PLANTED") ;;
    drops) for each in $DROPS; do modules+=("drops $each"); done ;;
    *) echo "vm-provenance: CHECKS names $name" >&2; exit 2 ;;
    esac
done
if [[ $CHECKS == *planted* || $CHECKS == *drops* ]]; then make_image "$scratch/root"; fi
failed=0
for suite in "$@"; do
    for module in "${modules[@]}"; do
        check "$suite" "$module" || { echo "vm-provenance: an answer is wrong on $suite: $module" >&2; failed=1; }
    done
done
exit $failed
