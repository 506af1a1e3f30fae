"""The containers of this node that can be blocked in, found by the root filesystems that the host has mounted."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
import threading
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
MAX_QUERIES: Final = 32
"""Containers for which runtimes are queried at once: twelve that start together must not wait for one another."""

log = logging.getLogger(__name__)


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


class _Query:
    """The runtimes' answer about one container, in a thread of its own. It never raises; `found` once `is_done`."""

    def __init__(self, identified: Callable[[], TrackedContainer | None], done: Callable[[], None]) -> None:
        self.found: TrackedContainer | None = None
        self.is_done = False
        self._identified, self._done = identified, done
        threading.Thread(target=self._run, name="identify", daemon=True).start()

    def _run(self) -> None:
        try:
            self.found = self._identified()
        except Exception:  # what one runtime's files hold must not end the blocking of all others
            log.exception("A container could not be identified")
        finally:
            self.is_done = True
            self._done()


@dataclasses.dataclass
class _Retry:
    """When to query about a container again; `query` while the answer is awaited."""

    options: frozenset[bytes]
    at: float = 0.0
    pause: float = FIRST_RETRY
    query: _Query | None = None


class ContainerTracker:
    """Containers by the device of their root filesystem. Not thread-safe; it queries runtimes in threads of its own."""

    def __init__(self, runtimes: Sequence[Runtime], wake: Callable[[], None] = lambda: None) -> None:
        """`wake` is called, from any thread, when `add_mounted` has an answer to return."""
        self._runtimes, self._wake = runtimes, wake
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
        """Return the devices of containers that were identified by now, and query about those mounted since.

        `expect` is called with the device and mount point of each new container, before any runtime is queried.
        """
        # Never the sensor's own container: held, it would wait for itself.
        unknown = [dev for dev in overlays if dev != self._own and dev not in self.tracked]
        for dev in unknown:
            self._start_identifying(dev, overlays[dev], expect)
        return self._identify(unknown, overlays)

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
        """Take the answers that are there, and query about the rest of the devices once their time has come."""
        identified = set()
        for dev in devices:
            retry = self._retries[dev]
            if retry.query is not None and retry.query.is_done:
                found, retry.query = retry.query.found, None
                if self._is_taken(dev, found):
                    identified.add(dev)
        waiting = sum(retry.query is not None for retry in self._retries.values())
        for dev in devices:
            due = self._retries.get(dev)
            is_due = due is not None and due.query is None and due.at <= time.monotonic()
            if due is not None and is_due and waiting < MAX_QUERIES:
                due.query = _Query(functools.partial(self._identified, list(overlays[dev])), self._wake)
                waiting += 1
        return identified

    def _identified(self, mounts: Sequence[Mount]) -> TrackedContainer | None:
        """Query the runtimes for the container of a filesystem; None where none is certain. Any thread may call it."""
        for mount in mounts:
            found = self._found(mount.point)
            tracked = _tracked(found, mount) if found is not None and found.complete else None
            if tracked is not None:
                return tracked
        return None

    def _is_taken(self, dev: int, tracked: TrackedContainer | None) -> bool:
        """Track a container that was identified; returns False where the runtime is to be queried again."""
        retry = self._retries[dev]
        # A runtime that did not answer in time may name the layers the next time.
        if tracked is None or not (tracked.layers.is_complete or retry.pause >= LAST_RETRY_OF_LAYERS):
            retry.at, retry.pause = time.monotonic() + retry.pause, min(2 * retry.pause, LONGEST_RETRY)
            return False
        self.tracked[dev] = tracked
        del self._retries[dev]
        if dev in self._met_early:
            self.meet(self._met_early.pop(dev))
        return True

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
        """Return the seconds until there is something to do; None while nothing is awaited but answers."""
        retries = [retry for retry in self._retries.values() if retry.query is None or retry.query.is_done]
        times = [retry.at if retry.query is None else 0.0 for retry in retries]
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
            pod_spec=found.pod_spec,
        )
        upper_ino = os.stat(layers.upper).st_ino  # noqa: PTH116 - bytes
        return TrackedContainer(resolved, layers, mounted, upper_ino, mount.point)
    return None
