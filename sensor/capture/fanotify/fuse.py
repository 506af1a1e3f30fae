"""Whether any filesystem of this node is served by a program, which may be a container's own and never answer."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from pathlib import Path
from typing import Final

_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
"""The same numbers on every architecture; Linux 5.2."""
_CLOEXEC: Final = 1
_CREATE: Final = 6


def fuse_in_use() -> bool:
    """Return whether there is a FUSE filesystem, in any mount namespace or in none; True where that is unknown.

    From the kernel's own list (Documentation/filesystems/fuse.rst, "Control filesystem"): what a container shows
    of its mounts need not be what an overlay of its own was made of. The list is read from a detached mount.
    """
    try:
        with contextlib.ExitStack() as opened:
            context = _opened(opened, _FSOPEN, b"fusectl", _CLOEXEC)
            _call(_FSCONFIG, context, _CREATE, None, None, 0)
            mounted = _opened(opened, _FSMOUNT, context, _CLOEXEC, 0)
            return any(Path(f"/proc/self/fd/{mounted}").iterdir())
    except OSError as error:
        return error.errno != errno.ENODEV  # a kernel without FUSE


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
