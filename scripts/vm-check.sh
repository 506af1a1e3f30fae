#!/usr/bin/env bash
# Run the sensor's tests in a virtual machine: another kernel, systemd, cgroup v2 only, overlay as a module.
#
#   scripts/vm-check.sh bookworm                       that Debian release and its kernel
#   scripts/vm-check.sh bookworm/bullseye lines        its programs, bullseye's kernel, a single check
#   APPEND=systemd.unified_cgroup_hierarchy=0 scripts/vm-check.sh bookworm lines
#
# The checks are those of scripts/vm-inside.sh; by default facts, doctor and lines, as the others take long in an
# emulated machine. CHECK:WORD,WORD selects the check's tests whose names contain one of the words. Requires root on
# Debian and installs what is missing. The machine is stored in VM_DIR (4 GB), with the logs of each run in a directory
# of its own. Emulation takes ten times as long; KVM=1 uses hardware virtualisation, with CPU=host,arch-capabilities=off
# where it is nested.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { sed -n '2,11s/^# \?//p' "$0"; exit 2; }
suite=${1%%/*} kernel_suite=${1##*/}
shift
VM_DIR=${VM_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/driftwatch-vm}
MIRROR=${MIRROR:-http://deb.debian.org/debian}
PATIENCE=${PATIENCE:-5400}
root=$VM_DIR/$suite disk=$VM_DIR/$suite.ext4 boot=$VM_DIR/boot
packages=(systemd-sysv dbus udev kmod initramfs-tools iproute2 procps ca-certificates
    podman runc crun containerd busybox-static util-linux gcc libc6-dev libbpf1 python3 python3-venv)

tools() {
    local missing=()
    for pair in qemu-system-x86_64:qemu-system-x86 debootstrap:debootstrap mke2fs:e2fsprogs; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    [ ${#missing[@]} = 0 ] || { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; }
}

in_root() { chroot "$root" env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

# A Debian with systemd, podman, containerd and Python that runs the checks and powers off.
make_root() {
    # An interrupted run may have left the host's /proc mounted there.
    ! mountpoint -q "$root.new/proc" || umount "$root.new/proc"
    rm -rf --one-file-system "$root" "$root.new"
    debootstrap --variant=minbase "$suite" "$root.new" "$MIRROR" >"$VM_DIR/debootstrap.log"
    mv "$root.new" "$root"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" && chmod +x "$root/usr/sbin/policy-rc.d"
    in_root apt-get update -qq
    in_root apt-get install -y -qq --no-install-recommends "${packages[@]}" >"$VM_DIR/install.log"
    in_root systemctl disable --quiet containerd podman.service podman.socket podman-restart 2>/dev/null || true
    rm "$root/usr/sbin/policy-rc.d"
    cat >"$root/etc/systemd/system/driftwatch-check.service" <<'UNIT'
[Unit]
Description=Driftwatch checks
After=multi-user.target
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'mkdir /opt/check && tar -x -C /opt/check -f /dev/vdb && exec bash /opt/check/scripts/vm-inside.sh'
StandardOutput=journal+console
StandardError=inherit
[Install]
WantedBy=default.target
UNIT
    in_root systemctl enable --quiet driftwatch-check.service
    in_root systemctl mask --quiet serial-getty@ttyS0.service getty@tty1.service apt-daily.timer apt-daily-upgrade.timer
    echo driftwatch-vm >"$root/etc/hostname"
    printf 'ext4\nvirtio_blk\nvirtio_pci\n' >>"$root/etc/initramfs-tools/modules"
    echo MODULES=list >"$root/etc/initramfs-tools/conf.d/driftwatch"
    python_packages
    touch "$root.ready"
}

wheels_of() { cat uv.lock deploy/sensor/pyproject.toml | cksum; }

# The packages of the tests and of the sensor's wheel, for that Debian's Python.
python_packages() {
    local version
    version=$(in_root python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    .venv/bin/uv export --quiet --frozen --no-hashes --no-group embedded -o "$VM_DIR/requirements.txt"
    .venv/bin/uv pip install --quiet --target "$root/opt/libraries" --python-version "$version" -r "$VM_DIR/requirements.txt"
    # Compiled on the host: it would take an emulated machine minutes.
    in_root python3 -m compileall -q -j 0 /opt/libraries || true
    .venv/bin/python -m pip download --quiet --dest "$root/opt/wheels" --only-binary=:all: --python-version "$version" \
        --platform manylinux_2_34_x86_64 --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 \
        -r <(.venv/bin/python -c 'import tomllib; project = tomllib.load(open("deploy/sensor/pyproject.toml", "rb"))
print(*project["project"]["dependencies"], sep="\n")')
    wheels_of >"$root.packages"
}

# Unpack a suite's kernel into the machine. It is not installed: its dependencies may be newer than the machine's.
add_kernel() {
    local lists=/etc/apt/sources.list.d/kernel.list names
    echo "deb $MIRROR $kernel_suite main" >"$root$lists"
    in_root apt-get update -qq
    names=$(in_root apt-get install -s -y --no-install-recommends "linux-image-cloud-amd64/$kernel_suite" |
        sed -nE 's/^Inst (linux-(image|modules|binary)-[0-9][^ ]*) \(([^ ]*).*/\1=\3/p')
    [ -n "$names" ] || { echo "vm-check: $kernel_suite has no package linux-image-cloud-amd64" >&2; exit 1; }
    rm -rf "$root/opt/kernels" && mkdir -p "$root/opt/kernels" "$root/usr/lib/modules"
    # shellcheck disable=SC2086 # several packages
    in_root sh -c 'cd /opt/kernels && apt-get download -qq "$@"' - $names
    for each in "$root"/opt/kernels/*.deb; do dpkg-deb -x "$each" "$root/opt/kernels"; done
    cp -a "$root"/opt/kernels/boot/. "$root/boot/"
    cp -a "$root"/opt/kernels/{,usr/}lib/modules/. "$root/usr/lib/modules/" 2>/dev/null || true
    rm -r "$root/opt/kernels"
    rm "$root$lists"
    release=$(echo "$names" | sed -nE 's/^linux-(image|binary)-([^=]*)=.*/\2/p' | head -n 1)
    in_root depmod "$release"
    in_root mkinitramfs -o "/boot/initrd.img-$release" "$release"
    echo "$release" >"$boot/$suite-$kernel_suite"
    cp "$root/boot/vmlinuz-$release" "$root/boot/initrd.img-$release" "$boot/"
    rm -f "$disk"
}

# Install the sensor's wheel with that Debian's Python, as in docs/sensor.md.
install_sensor() {
    (cd deploy/sensor && ../../.venv/bin/python -m hatchling build -t wheel -d "$stage/dist" >/dev/null 2>&1)
    rm -rf "$root/opt/driftwatch-sensor"
    in_root python3 -m venv /opt/driftwatch-sensor
    in_root sh -c "/opt/driftwatch-sensor/bin/pip install --quiet --no-index --find-links /opt/wheels ${stage#"$root"}/dist/*.whl"
    mv "$root/opt/driftwatch-sensor" "$stage/installed"
}

checkout() {
    local stage
    stage=$(mktemp -d -p "$root/tmp")
    git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C "$stage"
    install_sensor
    in_root python3 -m compileall -q -j 0 -s "${stage#"$root"}" -p /opt/check "${stage#"$root"}"
    echo "$*" >"$stage/checks"
    tar -c -C "$stage" -f "$run/checkout.tar" .
    rm -r "$stage"
}

[ "$(id -u)" = 0 ] || { echo "vm-check: needs root" >&2; exit 2; }
sh scripts/setup.sh
mkdir -p "$boot"
tools
[ -e "$root.ready" ] || make_root
if [ "$(cat "$root.packages" 2>/dev/null)" != "$(wheels_of)" ]; then
    python_packages
    rm -f "$disk"
fi
[ -e "$boot/$suite-$kernel_suite" ] || add_kernel
release=$(cat "$boot/$suite-$kernel_suite")
[ -e "$disk" ] || mke2fs -q -t ext4 -d "$root" "$disk" 6G
run=$VM_DIR/$(date +%Y%m%d-%H%M%S)-$suite-$release
mkdir "$run"
checkout "$@"
truncate -s 64M "$run/results.tar"
accelerator=(tcg,thread=multi -cpu max)
[ -z "${KVM:-}" ] || accelerator=(kvm -cpu "${CPU:-host}")
timeout "$PATIENCE" qemu-system-x86_64 -accel "${accelerator[@]}" -m 3G -smp 2 -nographic -no-reboot \
    -kernel "$boot/vmlinuz-$release" -initrd "$boot/initrd.img-$release" \
    -append "root=/dev/vda rw console=ttyS0 quiet panic=-1 ${APPEND:-}" \
    -drive "file=$disk,format=raw,if=virtio,snapshot=on" \
    -drive "file=$run/checkout.tar,format=raw,if=virtio,readonly=on" \
    -drive "file=$run/results.tar,format=raw,if=virtio" \
    -nic user,model=virtio-net-pci | tee "$run/console.log"
tar -x -C "$run" -f "$run/results.tar"
rm "$run/results.tar" "$run/checkout.tar"
echo "Results: $run"
exit "$(cat "$run/status" 2>/dev/null || echo 1)"
