"""What `sensor doctor` asks of this node about eBPF capture."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.capture.base import CaptureUnavailable, Check
from sensor.capture.ebpf import open_ebpf
from sensor.container.podman import DEFAULT_ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

PROBE_RING_BYTES: Final = 64 * 1024


def probe() -> list[Check]:
    """One line for each thing that eBPF capture needs, in the order to mend them."""
    return [
        _check("runs as root", lambda: os.geteuid() == 0, "start the sensor as root"),
        _check(
            "kernel type information", _has_btf, "use a kernel with CONFIG_DEBUG_INFO_BTF (/sys/kernel/btf/vmlinux)"
        ),
        _check("overlay filesystem", _has_overlay, "load the module overlay; other storage drivers are not supported"),
        _check("libbpf", _has_libbpf, "install libbpf.so.1 (Debian and Ubuntu: apt-get install libbpf1)"),
        _storage(),
        _starts(),
    ]


def _check(name: str, fine: Callable[[], bool], advice: str) -> Check:
    ok = fine()
    return Check(name, ok, "" if ok else advice)


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


def _storage() -> Check:
    """Not needed: only containers of podman have names without it."""
    there = (DEFAULT_ROOT / "overlay-containers").is_dir()
    return Check(
        "podman's storage", ok=True, advice="" if there else f"no podman container has run here ({DEFAULT_ROOT})"
    )


def _starts() -> Check:
    """Load and attach for real: whatever else is in the way shows here."""
    try:
        open_ebpf(ring_bytes=PROBE_RING_BYTES).close()
    except CaptureUnavailable as error:
        return Check("eBPF capture starts", ok=False, advice=str(error))
    return Check("eBPF capture starts", ok=True)
