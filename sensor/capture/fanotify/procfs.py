"""What /proc tells of a process, read while it lives (proc(5)). Names and arguments are bytes."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.files.handles import file_status
from sensor.record import MAX_ANCESTORS

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ARGV_BYTES: Final = 16 * 1024
TRIES: Final = 3
_TICK_NS: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """A process at one moment. `exe` is (device, inode) of what it runs, as fstat(2) shows them, `link` its place."""

    pid: int
    start_ns: int
    parent: int
    uid: int
    exe: tuple[int, int]
    argv: tuple[bytes, ...]
    argv_cut: bool
    cwd: bytes
    root: bytes
    link: bytes

    @property
    def is_complete(self) -> bool:
        """False in the middle of an exec: the new program is there before its arguments are (fs/exec.c, exec_mmap).

        Since Linux 5.18 every program has an argument, be it an empty one.
        """
        return bool(self.argv)


def facts_of(pid: int) -> Facts | None:
    """None where the process is gone, or is a kernel's thread.

    What it runs is looked at before and after: so the arguments are those of that very program. Where it ran
    something new in between, it is looked at again.
    """
    for _ in range(TRIES):
        with contextlib.suppress(OSError, ValueError, IndexError):
            before, found = exe_of(pid), _facts_now(pid)
            if before == found.exe == exe_of(pid):
                return found
        if exe_of(pid) is None:
            return None
    return None


def _facts_now(pid: int) -> Facts:
    """Raises OSError, ValueError or IndexError where the process is gone."""
    folder = f"/proc/{pid}"
    argv = _head(f"{folder}/cmdline")
    _, parent, start_ns = stat_of(pid)
    return Facts(
        pid=pid,
        start_ns=start_ns,
        parent=parent,
        uid=_uid(folder),
        exe=_identity(f"{folder}/exe"),
        argv=tuple(argv[:MAX_ARGV_BYTES].removesuffix(b"\0").split(b"\0")) if argv else (),
        argv_cut=len(argv) > MAX_ARGV_BYTES,
        cwd=_link(f"{folder}/cwd"),
        root=_link(f"{folder}/root"),
        link=_link(f"{folder}/exe"),
    )


def exe_of(pid: int) -> tuple[int, int] | None:
    """What a process runs, as in `Facts`; None where it is gone."""
    try:
        return _identity(f"/proc/{pid}/exe")
    except OSError:
        return None


def stat_of(pid: int) -> tuple[bytes, int, int]:
    """Name of the process's main thread, its parent's pid, its start in ns since boot; raises OSError."""
    name, _, rest = Path(f"/proc/{pid}/stat").read_bytes().partition(b"(")[2].rpartition(b")")
    fields = rest.split()
    return name, int(fields[1]), int(fields[19]) * _TICK_NS


def ancestors_of(pid: int | None, parent_of: Callable[[int], int | None]) -> tuple[tuple[int, bytes], ...]:
    """(pid, name) of a process and those above it, nearest first; `parent_of` knows of some that are gone."""
    found: list[tuple[int, bytes]] = []
    while pid and len(found) <= MAX_ANCESTORS:
        try:
            name, parent, _ = stat_of(pid)
        except (OSError, ValueError, IndexError):
            # It is gone: what it was called is not known, who was above it may be.
            pid = parent_of(pid)
            continue
        found.append((pid, name))
        pid = parent
    return tuple(found)


def path_of(pid: int) -> bytes:
    """Path of what a process runs, as its container sees it; b"" where it is gone."""
    try:
        return _link(f"/proc/{pid}/exe").removesuffix(b" (deleted)")
    except OSError:
        return b""


def cgroup_of(pid: int) -> tuple[bytes, ...]:
    """Names of its cgroup and those above, deepest first: the unified one, else the first that is not the root."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_bytes().splitlines()
    except OSError:
        return ()
    paths = [line.split(b":", 2)[2] for line in sorted(lines, key=lambda line: not line.startswith(b"0:"))]
    path = next((path for path in paths if path != b"/"), b"")
    return tuple(reversed(path.strip(b"/").split(b"/"))) if path else ()


def _identity(link: str) -> tuple[int, int]:
    status = file_status(link)
    return status.dev, status.ino


def _head(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        return file.read(MAX_ARGV_BYTES + 1) or b""


def _uid(folder: str) -> int:
    for line in _head(f"{folder}/status").split(b"\n"):
        if line.startswith(b"Uid:"):
            return int(line.split()[1])
    raise ValueError(folder)


def _link(path: str) -> bytes:
    return os.fsencode(os.readlink(path))  # noqa: PTH115
