"""The mount tables of processes as they change."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.container.mounts import mount_id, read_mounts
from sensor.files.deadline import in_time
from sensor.files.handles import look_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.container.mounts import Mount

ROOT_TRIES: Final = 3
"""Of a process that changes its root while its mounts are read: more, and it could keep the sensor busy."""


def has_changed(table: int) -> bool:
    """Return whether an open mount table has changed since this was asked, or the caller's poll reported it."""
    poll = select.poll()
    poll.register(table, select.POLLPRI)
    return bool(poll.poll(0))


def mounts_below_root(pid: int) -> tuple[bytes, list[Mount]] | None:
    """Return a process's root directory and the mounts that it sees below there; None where it is gone.

    Its table shows mount points below its root as it was at that moment: read before and after, since a process that
    goes into a chroot in between would show the container's mounts below a chroot, or a chroot as the container's root.
    """
    prefix, mounts = _root_path(pid), read_mounts(pid)
    for _ in range(ROOT_TRIES):
        before, prefix = prefix, _root_path(pid)
        if before == prefix:
            break
        mounts = read_mounts(pid)
    return None if prefix is None or not mounts else (prefix, mounts)


def _root_path(pid: int) -> bytes | None:
    try:
        return os.fsencode(Path(f"/proc/{pid}/root").readlink())
    except OSError:
        return None


def with_prefix(mount: Mount, prefix: bytes) -> Mount:
    """Return a mount as its namespace has it, from the table of a process in a chroot."""
    if prefix == b"/":
        return mount
    return dataclasses.replace(mount, point=(prefix + mount.point).rstrip(b"/"))


@contextlib.contextmanager
def reached(root: int, mount: Mount, *, prefix: bytes, payer: str) -> Iterator[int | None]:
    """Yield a descriptor of a mount's point, None where another mount lies over it: no path leads there.

    `root` is an open root directory, which is at `prefix` in its namespace. Raises OSError; TimeoutError where a
    filesystem on the way does not answer.
    """
    point = mount.point if prefix == b"/" else mount.point.removeprefix(prefix) or b"/"
    handle = in_time(lambda: look_up(root, point), os.close, payer=payer)
    try:
        yield handle if mount_id(handle) == mount.id else None
    finally:
        os.close(handle)
