"""What a runtime's record of a container, its OCI config.json, says of mounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from sensor.container.base import RuntimeMount
from sensor.container.mounts import read_mounts
from sensor.files.regular import read_regular
from sensor.wire import json_bytes

if TYPE_CHECKING:
    from pathlib import Path


class _MountedBundle(msgspec.Struct):
    mounts: list[RuntimeMount] = []


def named_mount_points(bundle: Path) -> frozenset[bytes] | None:
    """Return the mount points as the runtime names them; None where its record can't be read."""
    mounts = configured_mounts(bundle)
    return None if mounts is None else frozenset(mount.destination.encode() for mount in mounts)


def configured_mounts(bundle: Path) -> list[RuntimeMount] | None:
    """Return the mounts of the record; None where it can't be read."""
    try:
        return json_bytes.decode(read_regular(bundle / "config.json"), _MountedBundle).mounts
    except (OSError, msgspec.DecodeError):
        return None


def runtime_devices(bundle: Path, pid: int) -> dict[bytes, int]:
    """Return the device that lies lowest at each mount point of the runtime's, as process `pid` sees them; those at
    symlinks are left out."""
    named = named_mount_points(bundle) or frozenset()
    return {mount.point: mount.dev for mount in reversed(read_mounts(pid)) if mount.point in named}
