"""The mounts that the runtime made in a container: its OCI config.json (the runtime specification's `mounts`)."""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sensor.container.mounts import read_mounts
from sensor.container.oci_config import configured_mounts, named_mount_points
from sensor.files.deadline import in_time
from sensor.files.handles import look_up, open_directory

if TYPE_CHECKING:
    from sensor.container.base import RuntimeMount, VolumeImage
    from sensor.container.identify import Resolved


def mount_points(resolved: Resolved) -> frozenset[bytes] | None:
    """Return the paths in the container where its runtime mounted something; None where that is unknown.

    As the runtime names them while the filesystems on the way do not answer.
    """
    try:
        return real_mount_points(resolved)
    except TimeoutError:
        return named_mount_points(resolved.bundle) if resolved.bundle is not None else None


def real_mount_points(resolved: Resolved) -> frozenset[bytes] | None:
    """Return the same, for certain; raises TimeoutError while the filesystems on the way do not answer."""
    if resolved.bundle is None:
        return None
    return _real_mount_points(resolved.bundle, resolved.pid, resolved.container.id)


def mount_maker(resolved: Resolved, pid: int, point: bytes, dev: int) -> Literal["runtime", "container", "unknown"]:
    """Who mounted the filesystem that process `pid` has at `point`: the runtime, or somebody inside the container."""
    made = mount_points(resolved)
    if made is None:
        return "unknown"
    if point not in made:
        return "container"
    # A mount over the runtime's is not the runtime's: that one lies at the bottom. The container's first process is
    # asked first: in a chroot, or a mount namespace of its own, another may have anything at that path.
    lowest = _lowest(resolved.pid, point)
    if lowest is None:
        lowest = resolved.mounted.get(point)
    if lowest is None:
        lowest = _lowest(pid, point)
    return "container" if lowest is not None and lowest != dev else "runtime"


def _lowest(pid: int, point: bytes) -> int | None:
    """Return the device that lies lowest at a mount point; None where process `pid` is gone or has none there."""
    return next((mount.dev for mount in read_mounts(pid) if mount.point == point), None)


@functools.lru_cache(maxsize=1_024)
def _real_mount_points(bundle: Path, pid: int, payer: str) -> frozenset[bytes] | None:
    named = named_mount_points(bundle)
    if named is None:
        return None
    return in_time(lambda: frozenset(_real_path(point, pid) for point in named), payer=payer)


def mount_source(resolved: Resolved, point: bytes) -> bytes:
    """Return what the runtime mounted at a path in the container, as the node has it; b"" where that is unknown."""
    mount = runtime_mount(resolved, point)
    return mount.source.encode() if mount is not None else b""


def runtime_mount(resolved: Resolved, point: bytes) -> RuntimeMount | None:
    """Return what the runtime mounted at a path in the container; None where that is unknown."""
    name = point.rsplit(b"/", 1)[-1]
    for mount in runtime_mounts(resolved):
        destination = mount.destination.encode()
        if destination == point:
            return mount
        # `/sbin/docker-init` is `/usr/sbin/docker-init` in most images.
        if destination.endswith(b"/" + name):
            with contextlib.suppress(TimeoutError):
                real = in_time(functools.partial(_real_path, destination, resolved.pid), payer=resolved.container.id)
                if real == point:
                    return mount
    return None


def volume_image(resolved: Resolved, point: bytes) -> VolumeImage | None:
    """Return the image that the runtime mounted at a path in the container; None where it mounted something else."""
    mount = runtime_mount(resolved, point)
    return resolved.volume_image(mount) if mount is not None else None


def runtime_mounts(resolved: Resolved) -> list[RuntimeMount]:
    """Return all that the runtime mounted in the container; [] where that is unknown."""
    return configured_mounts(resolved.bundle) or [] if resolved.bundle is not None else []


def _real_path(destination: bytes, pid: int) -> bytes:
    """Where a mount point really is: `/var/run/x` is `/run/x` in most images."""
    with contextlib.suppress(OSError), open_directory(f"/proc/{pid}/root") as root:
        handle = look_up(root, destination)
        try:
            return os.fsencode(Path(f"/proc/self/fd/{handle}").readlink())
        finally:
            os.close(handle)
    return destination
