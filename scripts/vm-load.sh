#!/usr/bin/env bash
# Load and attach the sensor's kernel program on Debian's kernels, in each way that the sensor knows, and try it with an exec.
#
#   scripts/vm-load.sh [bullseye|bookworm|trixie]...
#
# A machine without a disk, in emulation: half a minute a kernel. Prints the verifier's log where it refuses a program. A kernel
# passes if its first way works that a sensor would try there. Requires Debian, gcc, libbpf-dev, qemu-system-x86 and busybox-static.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- bullseye bookworm trixie
VM_DIR=${VM_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/driftwatch-vm}/load
MIRROR=${MIRROR:-http://deb.debian.org/debian}
mkdir -p "$VM_DIR"

# The kernel's package, by an apt of its own: this machine's sources stay as they are.
get_kernel() {
    local apt=$VM_DIR/apt-$1 name
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $MIRROR $1 main" >"$apt/list"
    local options=(-qq -o "Dir::Etc::sourcelist=$apt/list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache")
    apt-get "${options[@]}" update
    name=$(apt-cache "${options[@]}" depends linux-image-cloud-amd64 | grep -oE 'linux-(image|binary)-[0-9][^ ]*cloud-amd64' | head -n 1)
    (cd "$apt" && apt-get "${options[@]}" download "$name" && dpkg-deb -x "$name"_*.deb "$VM_DIR/$1.new")
    mv "$VM_DIR/$1.new" "$VM_DIR/$1"
}

# A line per way: its name, and its programs.
ways() {
    python3 - <<'PYTHON'
from sensor.capture.libbpf import KEEPERS, LOOK, READS, TRACED_FUNCTIONS, TRACEPOINTS
least = ["on_mapping", "on_mapping_list", "on_fork", "on_exit", "on_exec", *KEEPERS, "on_write", READS[0]]
functions = [f"{name}:{function}" for name, function in TRACED_FUNCTIONS.items()]
print("functions", *least, LOOK, *functions, READS[1])
print("functions,libraries", *least, "on_mmap", LOOK, *functions, READS[1])
print("tracepoints", *least, LOOK, *TRACEPOINTS)
print("tracepoints,reads", *least, LOOK, *TRACEPOINTS, READS[2])
print("without-record", *least)
print("execs-alone on_exec")
PYTHON
}

make_initrd() {
    local root module
    root=$(mktemp -d)
    mkdir -p "$root"/{bin,proc,sys,tmp,dev}
    cp /bin/busybox "$root/bin/"
    cp "$VM_DIR/load" sensor/capture/bpf/exec.bpf.o "$root/"
    ways >"$root/ways"
    module=$(find "$VM_DIR/$1" -name 'overlay.ko*')
    case $module in *.xz) xz -dc "$module" ;; *) cat "$module" ;; esac >"$root/overlay.ko"
    cat >"$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
mount -t tracefs tracefs /sys/kernel/tracing
echo "KERNEL $(uname -r)"
insmod /overlay.ko
while read -r way programs; do /load /exec.bpf.o $way $programs; done </ways
echo DONE
poweroff -f
INIT
    chmod +x "$root/init"
    (cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$VM_DIR/$1.initrd"
    rm -r "$root"
}

check() {
    [ -d "$VM_DIR/$1" ] || get_kernel "$1"
    make_initrd "$1"
    timeout 600 qemu-system-x86_64 -accel tcg -cpu max -m 1G -smp 1 -nographic -no-reboot -nic none \
        -kernel "$VM_DIR/$1"/boot/vmlinuz-* -initrd "$VM_DIR/$1.initrd" -append "console=ttyS0 quiet panic=-1" >"$VM_DIR/$1.log" </dev/null
    tr -d '\r' <"$VM_DIR/$1.log" | sed -n '/KERNEL/,/DONE/p'
    grep -q '^RESULT functions: attached' "$VM_DIR/$1.log" && grep -q '^RESULT functions,libraries: attached' "$VM_DIR/$1.log"
}

gcc -O1 -Wall -Werror -static -o "$VM_DIR/load" scripts/vm-load.c -lbpf -lelf -lz
failed=0
for suite in "$@"; do check "$suite" || { echo "vm-load: the program does not run by functions on $suite" >&2; failed=1; }; done
exit $failed
