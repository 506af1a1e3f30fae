"""On which filesystems the kernel program sees writes through a mapping without tracing page faults."""

from __future__ import annotations

import os
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.container.mounts import HOST_INIT, NODE_ROOTS, read_mounts
from sensor.container.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.container.overlay import Layers

_ROOM: Final = 1 << 30
"""Free bytes, more with very many CPUs. Far below, ext4 allocates blocks at once and marks no buffers for mappings."""
_AT_ONCE: Final = frozenset({b"nodelalloc", b"data=journal"})
"""Options of ext4 with which it always does so."""
LOOK_AGAIN_SECONDS: Final = 0.02
MAX_LAYERS: Final = 4_096


def spare_clusters(cpus: int) -> int:
    """Return of how many free clusters on ext4 still allocates late: twice its own limit, and 16,384 at least.

    It is 4 times what the counters of all CPUs may hide (EXT4_FREECLUSTERS_WATERMARK): max(32, 2 × CPUs) each.
    """
    return max(16_384, 2 * 4 * cpus * max(32, 2 * cpus))


class ShownMappings:
    """Tells the same as `shows_mapped_writes`, of each layer fifty times a second at most. For one thread.

    It is asked at each exec, also of a storm. A disk that fills up since may do so between two execs as well.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked: Recent[bytes, float] = Recent(MAX_LAYERS)

    def are_shown(self, layers: Layers | None) -> bool:
        """Return whether writes through a mapping show; an answer that they do is believed for a moment."""
        if layers is None:
            return False
        looked, now = self._looked.get(layers.upper), self._clock()
        if looked is not None and now - looked < LOOK_AGAIN_SECONDS:
            return True
        if not shows_mapped_writes(layers):
            return False
        self._looked.put(layers.upper, now)
        return True


def shows_mapped_writes(layers: Layers | None) -> bool:
    """Return whether writes through a mapping show on the filesystem of a container's own layer."""
    if layers is None:
        return False
    for root in NODE_ROOTS:
        try:
            directory = os.fsdecode(root + layers.upper)
            device, space = Path(directory).stat().st_dev, os.statvfs(directory)
        except OSError:
            continue
        room = max(_ROOM, 4 * spare_clusters(os.cpu_count() or 1) * space.f_frsize)
        return space.f_bfree * space.f_frsize > room and _marks_buffers(device)
    return False


@lru_cache(maxsize=256)
def _marks_buffers(device: int) -> bool:
    """Return whether it is an ext4 that allocates blocks late.

    Remembered, for it is asked at each exec; after a remount the kernel program says no itself (`are_writes_traced`).
    """
    of_device = [mount for mount in read_mounts(HOST_INIT) if mount.dev == device]
    return any(mount.fstype == b"ext4" and not _AT_ONCE & {*mount.options.split(b",")} for mount in of_device)
