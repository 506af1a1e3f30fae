#!/usr/bin/env bash
# The checks of scripts/vm-check.sh, run inside its virtual machine; results go to a disk that the host reads.
set -uo pipefail
cd "$(dirname "$0")/.."
results=$(mktemp -d)
export PYTHONPATH=/opt/libraries HOME=/root
export DRIFTWATCH_TEST_NO_SERVICES=1 DRIFTWATCH_NO_SKIPS=1 DRIFTWATCH_TEST_SLOWNESS=10

facts() {
    echo "Linux $(uname -r), $(. /etc/os-release && echo "$PRETTY_NAME"), $(nproc) CPUs"
    echo "cgroups: $(findmnt -rn -t cgroup,cgroup2 -o FSTYPE,TARGET | tr '\n' ';')"
    echo "overlay: $(modinfo -F filename overlay)"
    podman --version && runc --version | head -n 1 && crun --version | head -n 1 && containerd --version
    dpkg-query -W -f '${Package} ${Version}\n' libbpf1 systemd python3
}

# This node is not enrolled: only the doctor's lines on capture and blocking matter here.
doctor() { python3 -m sensor doctor || true; }

tests() { python3 -m pytest -v -p no:cacheprovider -p no:playwright -p no:xdist --timeout=1800 "$@"; }
lines() { tests tests/system/vm/lines.py "$@"; }
capture() { tests tests/system/capture tests/system/test_origin.py "$@"; }
pods() { tests tests/system/test_cri.py "$@"; }
blocking() { tests tests/system/test_blocking.py "$@"; }
unit() { tests tests/system/vm/unit.py "$@"; }

status=0
[ -s checks ] && read -ra wanted <checks || wanted=()
[ ${#wanted[@]} -gt 0 ] || wanted=(facts doctor lines)
for check in "${wanted[@]}"; do
    echo "— $check"
    chosen=()
    words=${check#*:}
    [ "$check" = "$words" ] || chosen=(-k "${words//,/ or }")
    "${check%%:*}" "${chosen[@]}" 2>&1 | tee "$results/$check.log" || { status=1; echo "$check FAILED"; }
done
echo $status >"$results/status"
journalctl -b --no-pager >"$results/journal.log"
tar -c -C "$results" -f /dev/vdc .
sync
exit $status
