"""The containers of this node that can be blocked in, found by the root filesystems that the host has mounted."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.blocking.block_plan import BLOCK_NOTHING, BlockPlan
from sensor.container.bundle import real_mount_points, runtime_mounts
from sensor.container.identify import Resolved
from sensor.container.mounts import NOTHING_RUNS, read_mounts, topmost_mount
from sensor.container.node_init import is_init_program
from sensor.container.overlay import parse_options, usable_layers
from sensor.judgement.image_layers import has_executables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sensor.container.base import Found, Runtime, RuntimeMount, VolumeImage
    from sensor.container.mounts import Mount
    from sensor.container.overlay import Layers

FIRST_RETRY: Final = 0.25
LONGEST_RETRY: Final = 30.0
"""Seconds until a runtime is queried again about a container that it did not know completely."""
LAST_RETRY_OF_LAYERS: Final = 8.0
"""From this pause on a container is taken without all layers of its image: nothing is blocked by content there."""
IDENTIFY_SECONDS: Final = 0.25
"""Time spent on runtimes per call: where many containers come at once, those identified by then do not wait longer."""


@dataclasses.dataclass(eq=False)
class TrackedContainer:
    """A container with its layers, and those that its mount names: with mapped ids these are gone by now.

    `upper_ino` distinguishes its filesystem from a later one with the same device number. `volumes` are the devices
    of what its runtime mounted; None until its first exec, as they are unknown before. `spares_volumes` where a file of
    the image, or the runtime's init, may run from one of them: the kernel program would stop it.
    """

    resolved: Resolved
    layers: Layers
    mounted: Layers
    upper_ino: int
    point: bytes
    volumes: tuple[int, ...] | None = None
    spares_volumes: bool = False
    plan: BlockPlan = BLOCK_NOTHING


@dataclasses.dataclass
class _Retry:
    options: frozenset[bytes]
    at: float = 0.0
    pause: float = FIRST_RETRY


class ContainerTracker:
    """Containers by the device of their root filesystem. Not thread-safe."""

    def __init__(self, runtimes: Sequence[Runtime]) -> None:
        self._runtimes = runtimes
        self._own = Path("/").stat().st_dev
        self._retries: dict[int, _Retry] = {}
        self._met_early: dict[int, Resolved] = {}
        self.tracked: dict[int, TrackedContainer] = {}

    def remove_unmounted(self, overlays: Mapping[int, Sequence[Mount]]) -> set[int]:
        """Remove containers that are no longer mounted; return their devices."""
        gone = {dev for dev, known in self.tracked.items() if not _is_mounted(known, overlays.get(dev, ()))}
        for dev in gone:
            del self.tracked[dev]
        for dev in self._retries.keys() - overlays.keys():
            del self._retries[dev]
            self._met_early.pop(dev, None)
        return gone

    def add_mounted(
        self, overlays: Mapping[int, Sequence[Mount]], expect: Callable[[int, bytes], None] = lambda *_: None
    ) -> set[int]:
        """Identify newly mounted containers; return their devices.

        `expect` is called with the device and mount point of each new container, before any runtime is queried.
        """
        # Never the sensor's own container: held, it would wait for itself.
        unknown = [dev for dev in overlays if dev != self._own and dev not in self.tracked]
        for dev in unknown:
            self._start_identifying(dev, overlays[dev], expect)
        return self._identify([dev for dev in unknown if self._retries[dev].at <= time.monotonic()], overlays)

    def _start_identifying(self, dev: int, mounts: Sequence[Mount], expect: Callable[[int, bytes], None]) -> None:
        options = frozenset(mount.options for mount in mounts)
        known = self._retries.get(dev)
        if known is not None and not known.options.isdisjoint(options):
            return
        # New, or another filesystem that got the device number of one that is gone: nothing known of that one holds.
        self._retries[dev] = _Retry(options)
        self._met_early.pop(dev, None)
        point = next((mount.point for mount in mounts if self._container_id(mount.point) is not None), None)
        if point is not None:
            expect(dev, point)

    def _identify(self, devices: Sequence[int], overlays: Mapping[int, Sequence[Mount]]) -> set[int]:
        """Return those of the devices that are identified now; the rest is tried in the next call."""
        added, end = set(), time.monotonic() + IDENTIFY_SECONDS
        for dev in devices:
            if self._is_identified(dev, overlays[dev]):
                added.add(dev)
            if time.monotonic() > end:
                break
        return added

    def _is_identified(self, dev: int, mounts: Iterable[Mount]) -> bool:
        """Query the runtimes for the container of this filesystem; track it and return True if one is certain."""
        for mount in mounts:
            found = self._found(mount.point)
            tracked = _tracked(found, mount) if found is not None and found.complete else None
            # A runtime that did not answer in time may name the layers the next time.
            if tracked is not None and (tracked.layers.is_complete or self._retries[dev].pause >= LAST_RETRY_OF_LAYERS):
                self.tracked[dev] = tracked
                del self._retries[dev]
                if dev in self._met_early:
                    self.meet(self._met_early.pop(dev))
                return True
        retry = self._retries[dev]
        retry.at, retry.pause = time.monotonic() + retry.pause, min(2 * retry.pause, LONGEST_RETRY)
        return False

    def _container_id(self, point: bytes) -> str | None:
        return next(filter(None, (runtime.mounted_container_id(point) for runtime in self._runtimes)), None)

    def _found(self, point: bytes) -> Found | None:
        for runtime in self._runtimes:
            container_id = runtime.mounted_container_id(point)
            found = runtime.find(container_id) if container_id is not None else None
            if found is not None:
                return found
        return None

    def next_retry(self) -> float | None:
        """Return the seconds until a runtime is queried again; None if every container is identified."""
        times = [retry.at for retry in self._retries.values()]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def meet(self, resolved: Resolved) -> int | None:
        """Learn from an exec what its container's runtime mounted; returns the device where that is new."""
        known = self.tracked.get(resolved.root_dev)
        if known is None and resolved.root_dev in self._retries:
            self._met_early[resolved.root_dev] = resolved
        if known is None or known.volumes is not None or not resolved.complete:
            return None
        try:
            points = real_mount_points(resolved)
        except TimeoutError:
            return None  # without them, the runtime's own mounts would count as foreign
        mounts = read_mounts(resolved.pid)
        root = topmost_mount(mounts, b"/")
        # By now the process may have ended, and another one may have its pid.
        if points is None or root is None or root.dev != resolved.root_dev:
            return None
        lowest = {mount.point: mount.dev for mount in reversed(mounts) if mount.point in points}
        known.volumes = tuple(sorted({*lowest.values()} - {resolved.root_dev}))
        known.spares_volumes = _mounts_own_files(resolved, known.resolved.volume_image) or any(
            has_executables(known.layers, mount.point)
            for mount in mounts
            if mount.point in points and mount.fstype not in NOTHING_RUNS
        )
        return resolved.root_dev


def _mounts_own_files(resolved: Resolved, image_of: Callable[[RuntimeMount], VolumeImage | None]) -> bool:
    """Return whether the runtime mounted the node's init, or an image: these files are never stopped.

    `image_of` asks the runtime from this thread.
    """
    mounts = runtime_mounts(resolved)
    return any(is_init_program(mount.source.encode()) or image_of(mount) is not None for mount in mounts)


def _is_mounted(known: TrackedContainer, mounts: Iterable[Mount]) -> bool:
    """Return whether the same filesystem is still mounted there, with the same upper layer."""
    return any(mount.point == known.point and parse_options(mount.options) == known.mounted for mount in mounts)


def _tracked(found: Found, mount: Mount) -> TrackedContainer | None:
    mounted = parse_options(mount.options)
    layers = usable_layers(mounted, found.recorded_layers)
    if mounted is None or layers is None:
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
            volume_image=found.volume_image,
        )
        upper_ino = os.stat(layers.upper).st_ino  # noqa: PTH116 - bytes
        return TrackedContainer(resolved, layers, mounted, upper_ino, mount.point)
    return None
