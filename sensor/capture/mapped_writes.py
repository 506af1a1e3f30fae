"""On which filesystems the kernel program sees writes through a mapping without tracing page faults."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.container.mounts import HOST_INIT, NODE_ROOTS, read_mounts

if TYPE_CHECKING:
    from sensor.container.overlay import Layers

_ROOM: Final = 1 << 30
"""Free bytes. Far below that ext4 allocates blocks at once, and does not mark the buffers of a mapping's pages."""
_AT_ONCE: Final = frozenset({b"nodelalloc", b"data=journal"})
"""Options of ext4 with which it always does so."""


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
        return space.f_bfree * space.f_frsize > _ROOM and _marks_buffers(device)
    return False


@lru_cache(maxsize=256)
def _marks_buffers(device: int) -> bool:
    """Return whether it is an ext4 that allocates blocks late.

    Remembered, for it is asked at each exec; after a remount the kernel program says no itself (`are_writes_traced`).
    """
    of_device = [mount for mount in read_mounts(HOST_INIT) if mount.dev == device]
    return any(mount.fstype == b"ext4" and not _AT_ONCE & {*mount.options.split(b",")} for mount in of_device)
