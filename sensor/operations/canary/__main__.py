"""`python -m sensor.operations.canary DIRECTORY`: a container of one process that runs a file not in its image.

Protocol with the sensor that started it: writes `ready` once the container exists, runs the file when it reads a line.
Its mounts are in a namespace of its own and end with it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Final

from sensor.operations.canary.program import executable

CLONE_NEWNS: Final = 0x20000
MS_NOSUID: Final = 2
MS_REC_PRIVATE: Final = 0x4000 | 1 << 18
MNT_DETACH: Final = 2
SYS_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}

_libc = ctypes.CDLL(None, use_errno=True)


def main(directory: Path) -> None:
    """Replace this process by the canary. Raises OSError where the container cannot be created."""
    machine = os.uname().machine
    program = executable(machine)
    _check(_libc.unshare(CLONE_NEWNS))
    _mount("none", Path("/"), None, MS_REC_PRIVATE)  # mounts made here must not propagate to the node
    merged = _overlay(directory)
    (merged / "canary").write_bytes(program)
    (merged / "canary").chmod(0o755)
    _enter(merged, SYS_PIVOT_ROOT[machine])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if sys.stdin.readline():
        os.execv("/canary", ["/canary"])  # noqa: S606 - written a moment ago by this process


def _overlay(directory: Path) -> Path:
    """Mount an overlay, as containers have for a root filesystem; its image is empty."""
    lower, upper, work, merged = (directory / name for name in ("lower", "upper", "work", "merged"))
    for layer in (lower, upper, work, merged):
        layer.mkdir()  # in the sensor's own directory: it reads these layers as it does any container's
    _mount("overlay", merged, "overlay", MS_NOSUID, f"lowerdir={lower},upperdir={upper},workdir={work}")
    return merged


def _enter(root: Path, pivot_root: int) -> None:
    """Make `root` the root of this namespace and detach the previous one."""
    os.chdir(root)
    _check(_libc.syscall(pivot_root, b".", b"."))  # onto itself, so the old root needs no directory: pivot_root(2)
    _check(_libc.umount2(b".", MNT_DETACH))
    os.chdir("/")


def _mount(source: str, target: Path, fstype: str | None, flags: int, data: str | None = None) -> None:
    kind, options = (None if text is None else text.encode() for text in (fstype, data))
    _check(_libc.mount(source.encode(), os.fsencode(target), kind, ctypes.c_ulong(flags), options))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except (OSError, ValueError) as error:
        sys.exit(f"no canary: {error}")
