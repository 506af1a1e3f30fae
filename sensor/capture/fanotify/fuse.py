"""Whether any filesystem of this node is served by a program, which may be a container's own and never answer."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.container.mounts import HOST_INIT, NODE_ROOTS, mount_id, read_mounts
from sensor.files.handles import open_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.container.mounts import Mount
    from sensor.files.deadline import Worker

_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
"""The same numbers on every architecture; Linux 5.2."""
_CLOEXEC: Final = 1
_CREATE: Final = 6
ANSWER_SECONDS: Final = 0.2
"""A server that takes longer to describe its filesystem lives."""


def fuse_in_use(worker: Worker) -> bool:
    """Return whether there is a FUSE filesystem, in any mount namespace or in none; True where that is unknown.

    One whose server has ended does not count: every request to it fails at once. Mounts of dead containers on
    fuse-overlayfs stay so until somebody unmounts them. `worker` waits for servers.
    """
    try:
        served = _connections()
    except OSError as error:
        return error.errno != errno.ENODEV  # a kernel without FUSE
    return bool(served) and bool(served - set(_ended(served, worker)))


def _connections() -> set[int]:
    """Return the kernel's device number of each FUSE filesystem; raises OSError.

    From its own list (Documentation/filesystems/fuse.rst, "Control filesystem"): what a container shows of its mounts
    need not be what an overlay of its own was made of. The list is read from a detached mount.
    """
    with contextlib.ExitStack() as opened:
        context = _opened(opened, _FSOPEN, b"fusectl", _CLOEXEC)
        _call(_FSCONFIG, context, _CREATE, None, None, 0)
        mounted = _opened(opened, _FSMOUNT, context, _CLOEXEC, 0)
        return {int(entry.name) for entry in Path(f"/proc/self/fd/{mounted}").iterdir()}


def _ended(served: set[int], worker: Worker) -> Iterator[int]:
    """Yield those of the node's own table that have no server any more."""
    for mount in read_mounts(HOST_INIT):
        # As the kernel numbers devices, which is not how stat(2) shows large numbers.
        device = os.major(mount.dev) << 20 | os.minor(mount.dev)
        if device in served and _has_ended(mount, worker):
            yield device


def _has_ended(mount: Mount, worker: Worker) -> bool:
    """Return whether a FUSE filesystem refuses each request, as it does for good once its server has ended."""
    try:
        worker.run(lambda: _query(mount), ANSWER_SECONDS)
    except OSError as error:  # TimeoutError too
        return error.errno == errno.ENOTCONN
    return False


def _query(mount: Mount) -> None:
    """Ask the filesystem itself; raises OSError."""
    for prefix in NODE_ROOTS:
        with contextlib.suppress(PermissionError, FileNotFoundError), open_directory(prefix + mount.point) as handle:
            if mount_id(handle) == mount.id:  # not what is mounted over it
                os.fstatvfs(handle)
                return


def _opened(held: contextlib.ExitStack, number: int, *arguments: int | bytes) -> int:
    fd = _call(number, *arguments)
    held.callback(os.close, fd)
    return fd


def _call(number: int, *arguments: int | bytes | None) -> int:
    result = int(ctypes.CDLL(None, use_errno=True).syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
