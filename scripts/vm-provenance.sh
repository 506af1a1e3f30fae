#!/usr/bin/env bash
# Try who wrote a file, and how a process came into its container, on Debian's kernels that let functions be traced.
#
#   scripts/vm-provenance.sh [bookworm|trixie]...
#
# A machine without a disk, in emulation: two minutes a kernel. Takes the kernels that scripts/vm-load.sh has fetched. Requires
# gcc, qemu-system-x86, busybox-static and libbpf1.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- bookworm trixie
VM_DIR=${VM_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/driftwatch-vm/load}
python=$(readlink -f .venv/bin/python)
prefix=$("$python" -c 'import sys; print(sys.base_prefix)')
packages=$(.venv/bin/python -c 'import msgspec, pathlib; print(pathlib.Path(msgspec.__file__).parent)')
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

libraries() { ldd "$@" 2>/dev/null | grep -o '/[^ :]*\.so[^ :]*' | sort -u; }

make_root() {
    local root=$1 library
    mkdir -p "$root"/{bin,proc,sys,tmp,dev,app,box,lib64,lib/x86_64-linux-gnu} "$root$prefix"/{bin,lib}
    cp /bin/busybox "$root/bin/"
    cp "$python" "$root$prefix/bin/python"
    (cd "$prefix/lib" && tar c --exclude=test --exclude=site-packages --exclude=__pycache__ --exclude='config-*' "$(basename "$("$python" -c 'import os; print(os.path.dirname(os.__file__))')")") | tar x -C "$root$prefix/lib"
    for library in $(libraries "$python" "$packages"/*.so "$("$python" -c 'import _ctypes; print(_ctypes.__file__)')" /usr/lib/x86_64-linux-gnu/libbpf.so.1) /usr/lib/x86_64-linux-gnu/libbpf.so.1 /lib/x86_64-linux-gnu/libc.so.6; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
    cp -r sensor "$packages" tests/system/vm/provenance.py "$root/app/"
    gcc -O1 -Wall -Wextra -static -o "$root/app/writers" tests/system/tools/writers.c
    gcc -O1 -Wall -Wextra -o "$root/app/writers-dynamic" tests/system/tools/writers.c
    echo 'int unused;' | gcc -shared -fPIC -x c - -o "$root/app/preload.so"
    cat >"$root/init" <<INIT
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:/lib/x86_64-linux-gnu
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp; mount -t tmpfs box /box
mount -t tracefs tracefs /sys/kernel/tracing
echo "KERNEL \$(uname -r)"
insmod /overlay.ko
$prefix/bin/python -S /app/provenance.py 2>&1
echo DONE
poweroff -f
INIT
    chmod +x "$root/init"
}

check() {
    local module
    module=$(find -L "$VM_DIR/amd64-$1" -name 'overlay.ko*' | head -n 1)
    case $module in *.xz) xz -dc "$module" ;; *) cat "$module" ;; esac >"$scratch/root/overlay.ko"
    (cd "$scratch/root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$scratch/initrd"
    timeout 900 qemu-system-x86_64 -accel tcg -cpu max -m 2G -smp 1 -nographic -no-reboot -nic none \
        -kernel "$VM_DIR/amd64-$1"/boot/vmlinuz-* -initrd "$scratch/initrd" -append "console=ttyS0 quiet panic=-1" >"$scratch/log" </dev/null
    tr -d '\r' <"$scratch/log" | sed -n '/KERNEL/,/DONE/p'
    grep -q '^RESULT 0 wrong' "$scratch/log"
}

make_root "$scratch/root"
failed=0
for suite in "$@"; do check "$suite" || { echo "vm-provenance: an answer is wrong on $suite" >&2; failed=1; }; done
exit $failed
