"""The containers that run now and are not monitored in full, each with the reason."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.container.recent import Recent
from sensor.wire import MAX_GAPS, MonitoringGap

if TYPE_CHECKING:
    from sensor.container.identify import Resolved

KEPT_SECONDS: Final = 3_600.0
"""How long a container is listed after its last exec, where nothing on disk tells whether it runs."""
PID_FILES: Final = ("init.pid", "pidfile")
"""In a container's bundle, with the pid of its first process: of containerd and Docker, of podman and CRI-O."""


class Gaps:
    """Bounded; one thread notes, any other reads."""

    def __init__(self) -> None:
        self._noted: Recent[str, tuple[Resolved, float]] = Recent(10 * MAX_GAPS)
        self._lock = threading.Lock()

    def note(self, resolved: Resolved) -> None:
        """Note a container that something runs in, where not all of it can be judged."""
        container_id = resolved.container.id
        is_gap = resolved.gap is not None and resolved.certain
        if is_gap or container_id in self._noted:
            with self._lock:
                if is_gap:
                    self._noted.put(container_id, (resolved, time.monotonic()))
                else:
                    self._noted.remove(container_id)

    def current(self) -> tuple[MonitoringGap, ...]:
        """Return those that still run, the one that ran something last first."""
        with self._lock:
            noted = self._noted.items()
            for container_id, (resolved, at) in noted:
                if not _is_running(resolved, at):
                    self._noted.remove(container_id)
            return tuple(_gap(resolved) for _, (resolved, _) in reversed(self._noted.items()))


def _is_running(resolved: Resolved, at: float) -> bool:
    pid = _first_pid(resolved.bundle) if resolved.bundle is not None else None
    if pid is not None:
        return Path(f"/proc/{pid}").exists()
    if resolved.bundle is not None and not resolved.bundle.exists():
        return False
    return time.monotonic() - at < KEPT_SECONDS


def _first_pid(bundle: Path) -> int | None:
    for name in PID_FILES:
        with contextlib.suppress(OSError, ValueError):
            return int((bundle / name).read_text())
    return None


def _gap(resolved: Resolved) -> MonitoringGap:
    container, root = resolved.container, resolved.root
    assert root.gap is not None  # noqa: S101 - only such are noted
    return MonitoringGap(
        container_id=container.id,
        reason=root.gap,
        filesystem=root.filesystem[:64],
        name=container.name,
        image_name=container.image_name,
        namespace=container.namespace,
        pod_name=container.pod_name,
    )
