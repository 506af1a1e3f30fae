"""`python -m sensor.operations.canary DIRECTORY`: a container of one process that runs one file not in its image.

Speaks with the sensor that started it: says `ready` once the container stands, and runs the file when a line comes.
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


def main(folder: Path) -> None:
    """Replaces this process by the canary; raises OSError where the container can't be made."""
    machine = os.uname().machine
    program = executable(machine)
    _check(_libc.unshare(CLONE_NEWNS))
    _mount("none", Path("/"), None, MS_REC_PRIVATE)  # nothing that is mounted here shows on the node
    merged = _overlay(folder)
    (merged / "canary").write_bytes(program)
    (merged / "canary").chmod(0o755)
    _enter(merged, SYS_PIVOT_ROOT[machine])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if sys.stdin.readline():
        os.execv("/canary", ["/canary"])  # noqa: S606 - written a moment ago by this process


def _overlay(folder: Path) -> Path:
    """An overlay, which is what a container has for a root filesystem; its image is empty."""
    lower, upper, work, merged = (folder / name for name in ("lower", "upper", "work", "merged"))
    for made in (lower, upper, work, merged):
        made.mkdir()  # where the sensor sees them as well: it looks into layers as it does of any container
    _mount("overlay", merged, "overlay", MS_NOSUID, f"lowerdir={lower},upperdir={upper},workdir={work}")
    return merged


def _enter(root: Path, pivot_root: int) -> None:
    """Make it the root of this namespace, and let go of the one before."""
    os.chdir(root)
    _check(_libc.syscall(pivot_root, b".", b"."))  # pivot_root(2): onto itself, so no folder for the old one is needed
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
