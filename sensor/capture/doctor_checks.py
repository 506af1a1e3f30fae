"""The checks of `sensor doctor` about capture on this node."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.capture.base import DoctorCheck
from sensor.capture.ebpf import open_ebpf
from sensor.capture.errors import CaptureUnavailable
from sensor.capture.fanotify.capture import open_fanotify
from sensor.capture.kept_files import KeptFiles
from sensor.capture.kernel_program import CURRENT_TASK
from sensor.capture.libbpf import Libbpf
from sensor.operations.machine import nested_pid_namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROBE_RING_BYTES: Final = 64 * 1024


def probe() -> list[DoctorCheck]:
    """One check per requirement of capture, in the order to fix them; the last one names the backend to be used."""
    ebpf = _starts()
    fanotify = _falls_back(ebpf)
    return [
        _check("runs as root", lambda: os.geteuid() == 0, "start the sensor as root"),
        _check(
            "kernel type information", _has_btf, "use a kernel with CONFIG_DEBUG_INFO_BTF (/sys/kernel/btf/vmlinux)"
        ),
        _check("overlay filesystem", _has_overlay, "load the module overlay; other storage is monitored in part"),
        _check("libbpf", _has_libbpf, "install libbpf.so.1 (Debian and Ubuntu: apt-get install libbpf1)"),
        *_pid_namespace(),
        ebpf,
        *_reports_writers(ebpf),
        *_keeps_files(ebpf),
        fanotify,
        _chosen(ebpf, fanotify),
    ]


def _check(name: str, fine: Callable[[], bool], advice: str) -> DoctorCheck:
    ok = fine()
    return DoctorCheck(name, ok, "" if ok else advice)


def _has_btf() -> bool:
    return Path("/sys/kernel/btf/vmlinux").exists()


def _has_overlay() -> bool:
    return any(line.split()[-1] == "overlay" for line in Path("/proc/filesystems").read_text().splitlines())


def _has_libbpf() -> bool:
    try:
        ctypes.CDLL("libbpf.so.1")
    except OSError:
        return False
    return True


def _pid_namespace() -> Iterator[DoctorCheck]:
    """Say where the node is a container itself: there its pids are others than the machine's."""
    if nested_pid_namespace():
        advice = (
            "nested, as in a node of kind or minikube: pids are this namespace's, and containers outside of it are not "
            "monitored; in a pod, set hostPID"
        )
        yield DoctorCheck("Process namespace", ok=True, advice=advice)


def _starts() -> DoctorCheck:
    """Load and attach for real: whatever else is in the way shows here."""
    try:
        capture = open_ebpf(ring_bytes=PROBE_RING_BYTES)
    except CaptureUnavailable as error:
        return DoctorCheck("eBPF capture starts", ok=False, advice=str(error))
    capture.close()
    return DoctorCheck("eBPF capture starts", ok=True, advice=capture.limits)


def _reports_writers(ebpf: DoctorCheck) -> Iterator[DoctorCheck]:
    """Not needed: a sensor captures and blocks without. Where eBPF does not start, that is what matters."""
    if ebpf.ok:
        known = Libbpf().knows_helper(CURRENT_TASK)
        advice = (
            "" if known else "not available here, nor is `run --libraries`: both need Linux 5.11; everything else works"
        )
        yield DoctorCheck("eBPF reports who wrote a file", ok=True, advice=advice)


def _keeps_files(ebpf: DoctorCheck) -> Iterator[DoctorCheck]:
    """Not needed: without, such files are reported all the same."""
    if ebpf.ok:
        kept = KeptFiles.start()
        advice = "" if kept is not None else "not here, as it takes SYS_ADMIN: they are reported without a hash"
        if kept is not None:
            kept.close()
        yield DoctorCheck("Files that are unlinked as they run are hashed", ok=True, advice=advice)


def _falls_back(ebpf: DoctorCheck) -> DoctorCheck:
    """Needed only where eBPF does not start; its limits are reported all the same."""
    try:
        capture = open_fanotify(runtimes=())
    except CaptureUnavailable as error:
        advice = f"not available here, and not needed while eBPF captures: {error}" if ebpf.ok else str(error)
        return DoctorCheck("fanotify capture starts", ebpf.ok, advice)
    capture.close()
    return DoctorCheck("fanotify capture starts", ok=True, advice=capture.limits)


def _chosen(ebpf: DoctorCheck, fanotify: DoctorCheck) -> DoctorCheck:
    """Return the backend that `--capture auto` uses, and why."""
    if ebpf.ok:
        return DoctorCheck("Capture by ebpf", ok=True, advice="the preferred backend")
    if fanotify.ok:
        return DoctorCheck("Capture by fanotify", ok=True, advice=f"the fallback, which sees less: {ebpf.advice}")
    return DoctorCheck("Capture", ok=False, advice="neither backend works here")
