"""The containers of this node that could be blocked in, found by the root filesystems that the host has mounted."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.blocking.block_plan import BLOCK_NOTHING, BlockPlan
from sensor.container.bundle import RUNTIME_INITS, real_mount_points
from sensor.container.identify import Resolved
from sensor.container.mounts import mounted_at, read_mounts
from sensor.container.overlay import parse_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sensor.container.base import Found, Runtime
    from sensor.container.mounts import Mount
    from sensor.container.overlay import Layers

FIRST_RETRY: Final = 0.25
LONGEST_RETRY: Final = 30.0
"""Seconds until a runtime is asked again for what it did not know, or not all of."""
ASK_SECONDS: Final = 0.25
"""Spent on asking at a time: where many containers came at once, those that are known by then wait for no others."""


@dataclasses.dataclass(eq=False)
class TrackedContainer:
    """A container with its layers; `upper_ino` tells its filesystem from a later one with the same device number.

    `volumes` are the devices of what its runtime mounted, None as long as that is not known: before its first exec.
    """

    resolved: Resolved
    layers: Layers
    upper_ino: int
    point: bytes
    volumes: tuple[int, ...] | None = None
    has_init: bool = False
    plan: BlockPlan = BLOCK_NOTHING


@dataclasses.dataclass
class _Retry:
    options: frozenset[bytes]
    at: float = 0.0
    pause: float = FIRST_RETRY


class ContainerTracker:
    """By the device of their root filesystem. Not thread-safe."""

    def __init__(self, runtimes: Sequence[Runtime]) -> None:
        self._runtimes = runtimes
        self._own = Path("/").stat().st_dev
        self._retries: dict[int, _Retry] = {}
        self._early: dict[int, Resolved] = {}
        self.tracked: dict[int, TrackedContainer] = {}

    def sweep(self, overlays: Mapping[int, Sequence[Mount]]) -> set[int]:
        """Forget what is not mounted any more; the devices of the containers that went."""
        gone = {dev for dev, known in self.tracked.items() if not _is_still(known, overlays.get(dev, ()))}
        for dev in gone:
            del self.tracked[dev]
        for dev in self._retries.keys() - overlays.keys():
            del self._retries[dev]
            self._early.pop(dev, None)
        return gone

    def update(
        self, overlays: Mapping[int, Sequence[Mount]], expect: Callable[[int, bytes], None] = lambda *_: None
    ) -> set[int]:
        """Get to know what is mounted now; the devices of the containers that came.

        `expect` is told of each that is new, and some runtime's, and where it is mounted, before anybody is asked.
        """
        # Never the sensor's own container: it would wait for itself.
        unknown = [dev for dev in overlays if dev != self._own and dev not in self.tracked]
        for dev in unknown:
            self._begin(dev, overlays[dev], expect)
        return self._ask([dev for dev in unknown if self._retries[dev].at <= time.monotonic()], overlays)

    def _begin(self, dev: int, mounts: Sequence[Mount], expect: Callable[[int, bytes], None]) -> None:
        """Where another filesystem had this device number until now, nothing of that holds for this one."""
        options = frozenset(mount.options for mount in mounts)
        known = self._retries.get(dev)
        if known is not None and not known.options.isdisjoint(options):
            return
        self._retries[dev] = _Retry(options)
        self._early.pop(dev, None)
        point = next((mount.point for mount in mounts if self._id_at(mount.point) is not None), None)
        if point is not None:
            expect(dev, point)

    def _ask(self, devices: Sequence[int], overlays: Mapping[int, Sequence[Mount]]) -> set[int]:
        """Which of these are known now; those that there is no time for are asked for next."""
        came, end = set(), time.monotonic() + ASK_SECONDS
        for dev in devices:
            if self._look(dev, overlays[dev]):
                came.add(dev)
            if time.monotonic() > end:
                break
        return came

    def _look(self, dev: int, mounts: Iterable[Mount]) -> bool:
        """Ask the runtimes whose filesystem this is; whether that is known for certain now."""
        for mount in mounts:
            found = self._find(mount.point)
            tracked = _tracked(found, mount) if found is not None and found.complete else None
            if tracked is not None:
                self.tracked[dev] = tracked
                del self._retries[dev]
                if dev in self._early:
                    self.meet(self._early.pop(dev))
                return True
        retry = self._retries[dev]
        retry.at, retry.pause = time.monotonic() + retry.pause, min(2 * retry.pause, LONGEST_RETRY)
        return False

    def _id_at(self, point: bytes) -> str | None:
        return next(filter(None, (runtime.id_at(point) for runtime in self._runtimes)), None)

    def _find(self, point: bytes) -> Found | None:
        for runtime in self._runtimes:
            container_id = runtime.id_at(point)
            found = runtime.find(container_id) if container_id is not None else None
            if found is not None:
                return found
        return None

    def next_retry(self) -> float | None:
        """Seconds until a runtime is to be asked again; None where all is known."""
        times = [retry.at for retry in self._retries.values()]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def meet(self, resolved: Resolved) -> int | None:
        """Learn from an exec in a container what its runtime mounted there; its device, where that was news."""
        known = self.tracked.get(resolved.root_dev)
        if known is None and resolved.root_dev in self._retries:
            self._early[resolved.root_dev] = resolved
        if known is None or known.volumes is not None or not resolved.complete:
            return None
        try:
            points = real_mount_points(resolved)
        except TimeoutError:
            return None  # what its runtime mounted would be taken for somebody else's
        mounts = read_mounts(resolved.pid)
        root = mounted_at(mounts, b"/")
        # By now the process may be gone, and its number another's.
        if points is None or root is None or root.dev != resolved.root_dev:
            return None
        lowest = {mount.point: mount.dev for mount in reversed(mounts) if mount.point in points}
        known.volumes = tuple(sorted({*lowest.values()} - {resolved.root_dev}))
        known.has_init = not RUNTIME_INITS.isdisjoint(points)
        return resolved.root_dev


def _is_still(known: TrackedContainer, mounts: Iterable[Mount]) -> bool:
    """Whether it is the same filesystem: mounted there still, with the same layer of its own."""
    return any(mount.point == known.point and parse_options(mount.options) == known.layers for mount in mounts)


def _tracked(found: Found, mount: Mount) -> TrackedContainer | None:
    layers = parse_options(mount.options)
    if layers is None:
        return None
    with contextlib.suppress(OSError):
        resolved = Resolved(
            container=found.container,
            complete=found.complete,
            root_dev=mount.dev,
            layers=layers,
            pid=0,
            merged=found.merged,
            bundle=found.bundle,
        )
        return TrackedContainer(resolved, layers, os.stat(layers.upper).st_ino, mount.point)  # noqa: PTH116 - bytes
    return None
