"""Which machine this is, and which boot of it: digests, so that the ids themselves stay on the node."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
MACHINE_IDS: Final = (Path("/sys/class/dmi/id/product_uuid"), Path("/etc/machine-id"))
"""Of the virtual or real hardware, which a container sees too; else of the installed system."""

PID_NAMESPACE: Final = Path("/proc/self/ns/pid")
FIRST_PID_NAMESPACE: Final = 0xEFFFFFFC
"""PROC_PID_INIT_INO: the kernel numbers its first namespaces itself (include/linux/proc_ns.h)."""


def machine_digest() -> str:
    """Return a digest of the machine's id; "" where it has none that can be read."""
    return next(filter(None, (_digest("machine", path) for path in MACHINE_IDS)), "")


def boot_digest() -> str:
    """Return a digest of the id of this boot, which the kernel draws at random; "" where it can't be read."""
    return _digest("boot", BOOT_ID)


def nested_pid_namespace() -> int:
    """Return the inode number of this process's pid namespace; 0 where that is the machine's first one.

    As in a node that is a container itself (kind, minikube), or in a pod without `hostPID`.
    """
    try:
        found = PID_NAMESPACE.stat().st_ino
    except OSError:
        return 0
    return 0 if found == FIRST_PID_NAMESPACE else found


def _digest(kind: str, path: Path) -> str:
    try:
        found = path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return hashlib.sha256(f"driftwatch {kind} {found}".encode()).hexdigest()[:32] if found else ""
