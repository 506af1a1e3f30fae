#!/usr/bin/env bash
# Load and attach the sensor's kernel program on Debian's kernels, in each way that the sensor knows, and try it with an exec.
#
#   scripts/vm-load.sh [[arm64/]bullseye|bookworm|trixie]...
#
# A machine without a disk, in emulation: half a minute a kernel. Prints the verifier's log where it refuses a program. A kernel
# passes if its first way works that a sensor would try there. Requires Debian, gcc, libbpf-dev, qemu-system-x86 and busybox-static;
# for arm64/ also qemu-system-arm, gcc-aarch64-linux-gnu and libc6-dev-arm64-cross.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- bullseye bookworm trixie
VM_DIR=${VM_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/driftwatch-vm}/load
MIRROR=${MIRROR:-http://deb.debian.org/debian}
mkdir -p "$VM_DIR"

# A suite's packages, by an apt of its own: this machine's sources stay as they are. ARCHITECTURE SUITE, then apt's words.
with_apt() {
    local apt=$VM_DIR/apt-$1-$2
    local options=(-qq -o "Dir::Etc::sourcelist=$apt/list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$apt/lists"
        -o "Dir::Cache=$apt/cache" -o "APT::Architecture=$1" -o "APT::Architectures=$1" -o Dir::State::status=/dev/null)
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $MIRROR $2 main" >"$apt/list"
    shift 2
    local program=$1
    shift
    "$program" "${options[@]}" "$@"
}

# Unpack packages into a directory: ARCHITECTURE SUITE TARGET PACKAGE...
unpack() {
    local work target=$3 architecture=$1 suite=$2
    shift 3
    work=$(mktemp -d)
    (cd "$work" && with_apt "$architecture" "$suite" apt-get download "$@")
    for package in "$work"/*.deb; do dpkg-deb -x "$package" "$target.new"; done
    rm -r "$work"
    mv "$target.new" "$target"
}

get_kernel() { # ARCHITECTURE SUITE
    local name
    with_apt "$1" "$2" apt-get update
    name=$(with_apt "$1" "$2" apt-cache depends "linux-image-cloud-$1" | grep -oE "linux-(image|binary)-[0-9][^ ]*cloud-$1" | head -n 1)
    unpack "$1" "$2" "$VM_DIR/$1-$2" "$name"
}

# A line per way: its name, and its programs.
ways() {
    python3 - <<'PYTHON'
from sensor.capture.programs import FAULTS, FOLLOWERS, KEEPERS, LOOK, READS, TRACED_FUNCTIONS, TRACEPOINTS
least = ["on_mapping", "on_mapping_list", *FOLLOWERS[0], *FOLLOWERS[1], "on_exec", *KEEPERS, "on_write", READS[0]]
functions = [f"{name}:{function}" for name, function in TRACED_FUNCTIONS.items()]
print("functions", *least, LOOK, *functions, READS[1])
print("functions,libraries", *least, "on_mmap", LOOK, *functions, READS[1])
print("tracepoints", *least, LOOK, *TRACEPOINTS, *FAULTS)
print("tracepoints,reads", *least, LOOK, *TRACEPOINTS, *FAULTS, READS[2])
print("without-record", *least)
print("execs-alone on_exec")
PYTHON
}

make_initrd() { # ARCHITECTURE SUITE
    local root module busybox=/bin/busybox
    [ "$1" = amd64 ] || busybox=$VM_DIR/libraries-$1/bin/busybox
    root=$(mktemp -d)
    mkdir -p "$root"/{bin,proc,sys,tmp,dev}
    cp "$busybox" "$root/bin/"
    cp "$VM_DIR/load-$1" "$root/load"
    cp sensor/capture/bpf/exec.bpf.o "$root/"
    ways >"$root/ways"
    module=$(find "$VM_DIR/$1-$2" -name 'overlay.ko*')
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
    (cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$VM_DIR/$1-$2.initrd"
    rm -r "$root"
}

make_loader() { # ARCHITECTURE
    local libraries=$VM_DIR/libraries-$1
    if [ "$1" = amd64 ]; then
        gcc -O1 -Wall -Werror -static -o "$VM_DIR/load-$1" scripts/vm-load.c -lbpf -lelf -lz
        return
    fi
    if [ ! -d "$libraries" ]; then
        with_apt "$1" bookworm apt-get update
        unpack "$1" bookworm "$libraries" libbpf-dev libelf-dev zlib1g-dev busybox-static
    fi
    aarch64-linux-gnu-gcc -O1 -Wall -Werror -static -idirafter "$libraries/usr/include" -o "$VM_DIR/load-$1" scripts/vm-load.c \
        -L"$libraries/usr/lib/aarch64-linux-gnu" -lbpf -lelf -lz
}

check() { # ARCHITECTURE SUITE
    local log=$VM_DIR/$1-$2.log machine=(qemu-system-x86_64) console=ttyS0 best=functions
    if [ "$1" = arm64 ]; then
        machine=(qemu-system-aarch64 -machine virt) console=ttyAMA0
        # BPF's trampolines came to ARM64 with Linux 6.4; before, tracepoints are the best way.
        case $2 in bullseye | bookworm) best=tracepoints ;; esac
    fi
    [ -d "$VM_DIR/$1-$2" ] || get_kernel "$1" "$2"
    make_initrd "$1" "$2"
    timeout 900 "${machine[@]}" -accel tcg -cpu max -m 1G -smp 1 -nographic -no-reboot -nic none \
        -kernel "$VM_DIR/$1-$2"/boot/vmlinuz-* -initrd "$VM_DIR/$1-$2.initrd" -append "console=$console quiet panic=-1" >"$log" </dev/null
    tr -d '\r' <"$log" | sed -n '/KERNEL/,/DONE/p'
    grep -q "^RESULT $best: attached" "$log" || { echo "vm-load: the program does not run by $best on $1/$2" >&2; return 1; }
    [ $best = tracepoints ] || grep -q '^RESULT functions,libraries: attached' "$log"
}

failed=0
for machine in "$@"; do
    case $machine in */*) architecture=${machine%/*} ;; *) architecture=amd64 ;; esac
    [ -x "$VM_DIR/load-$architecture" ] && [ "$VM_DIR/load-$architecture" -nt scripts/vm-load.c ] || make_loader "$architecture"
    check "$architecture" "${machine##*/}" || failed=1
done
exit $failed
