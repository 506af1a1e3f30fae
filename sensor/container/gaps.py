"""The containers that are not monitored in full, each with the reason, and with the execs that could not be judged."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.container.recent import Recent
from sensor.wire import MAX_GAPS, MonitoringGap

if TYPE_CHECKING:
    from sensor.container.identify import Resolved

KEPT_SECONDS: Final = 3_600.0
"""How long a container is listed after its last loss, and after its last exec where nothing tells whether it runs."""
EXECS_LOST: Final = "execs_lost"
"""The reason of a container that is monitored in full, but for execs that could not be judged."""
PID_FILES: Final = ("init.pid", "pidfile")
"""In a container's bundle, with the pid of its first process: of containerd and Docker, of podman and CRI-O."""


class Gaps:
    """Bounded; one thread notes, any other reads."""

    def __init__(self) -> None:
        self._noted: Recent[str, tuple[Resolved, float]] = Recent(10 * MAX_GAPS)
        self._losses: Recent[str, _Losses] = Recent(10 * MAX_GAPS)
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

    def lose(self, resolved: Resolved, cause: str) -> None:
        """Count an exec of a container that could not be judged."""
        with self._lock:
            losses = self._losses.get(resolved.container.id) or _Losses(resolved)
            losses.causes[cause] += 1
            losses.at = time.monotonic()
            self._losses.put(resolved.container.id, losses)

    def current(self) -> tuple[MonitoringGap, ...]:
        """Return those that still run, the one that ran something last first; then others with losses of late."""
        with self._lock:
            for container_id, (resolved, at) in self._noted.items():
                if not _is_running(resolved, at):
                    self._noted.remove(container_id)
            for container_id, losses in self._losses.items():
                if time.monotonic() - losses.at >= KEPT_SECONDS:
                    self._losses.remove(container_id)
            noted, lost = dict(reversed(self._noted.items())), dict(reversed(self._losses.items()))
            listed = {container_id: resolved for container_id, (resolved, _) in noted.items()}
            listed |= {container_id: each.resolved for container_id, each in lost.items() if container_id not in noted}
            return tuple(_gap(resolved, lost.get(container_id)) for container_id, resolved in listed.items())


@dataclasses.dataclass
class _Losses:
    """Execs of one container that could not be judged, by cause; `at` is when the last was (monotonic)."""

    resolved: Resolved
    causes: Counter[str] = dataclasses.field(default_factory=Counter)
    at: float = 0.0


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


def _gap(resolved: Resolved, losses: _Losses | None) -> MonitoringGap:
    container, root = resolved.container, resolved.root
    return MonitoringGap(
        container_id=container.id,
        reason=resolved.gap or EXECS_LOST,
        lost=dict(losses.causes) if losses is not None else {},
        filesystem=root.filesystem[:64],
        name=container.name,
        image_name=container.image_name,
        namespace=container.namespace,
        pod_name=container.pod_name,
    )
