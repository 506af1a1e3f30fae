"""What /proc shows of a process, read while it lives (proc(5)). Names and arguments are bytes."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.files.handles import file_status
from sensor.record import MAX_ANCESTORS

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_ARGV_BYTES: Final = 16 * 1024
TRIES: Final = 3
MAX_STEPS: Final = 4 * MAX_ANCESTORS
"""To the ancestors of a process: names may be missing in between."""
TICK_NS: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
"""Of the clock by which /proc shows when a process started: the start may be that much later."""


class Fork(NamedTuple):
    """How a process began: by which parent, and when since boot."""

    parent: int
    time_ns: int


@dataclasses.dataclass(frozen=True, slots=True)
class ProcessFacts:
    """A process at one moment. `exe` is (device, inode) of its executable, as fstat(2) shows them, `link` its path."""

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


def process_facts(pid: int) -> ProcessFacts | None:
    """Return the facts of a process; None where it is gone, or is a kernel thread."""
    # What it runs is read before and after: so the arguments are those of that very program. Where it ran something
    # new in between, all is read again.
    for _ in range(TRIES):
        with contextlib.suppress(OSError, ValueError, IndexError):
            before, found = running_file(pid), _facts_now(pid)
            if before == found.exe == running_file(pid):
                return found
        if running_file(pid) is None:
            return None
    return None


def _facts_now(pid: int) -> ProcessFacts:
    """Raises OSError, ValueError or IndexError where the process is gone."""
    directory = f"/proc/{pid}"
    argv = _head(f"{directory}/cmdline")
    _, parent, start_ns = process_stat(pid)
    return ProcessFacts(
        pid=pid,
        start_ns=start_ns,
        parent=parent,
        uid=_uid(directory),
        exe=_identity(f"{directory}/exe"),
        argv=tuple(argv[:MAX_ARGV_BYTES].removesuffix(b"\0").split(b"\0")) if argv else (),
        argv_cut=len(argv) > MAX_ARGV_BYTES,
        cwd=_link(f"{directory}/cwd"),
        root=_link(f"{directory}/root"),
        link=_link(f"{directory}/exe"),
    )


def running_file(pid: int) -> tuple[int, int] | None:
    """Return the device and inode of a process's executable, as in `ProcessFacts`; None where it is gone."""
    try:
        return _identity(f"/proc/{pid}/exe")
    except OSError:
        return None


def process_stat(pid: int) -> tuple[bytes, int, int]:
    """Name of the process's main thread, its parent's pid, its start in ns since boot; raises OSError."""
    name, _, rest = Path(f"/proc/{pid}/stat").read_bytes().partition(b"(")[2].rpartition(b")")
    fields = rest.split()
    return name, int(fields[1]), int(fields[19]) * TICK_NS


def process_ancestors(
    pid: int | None, before_ns: int, fork: Callable[[int, int], Fork | None]
) -> tuple[tuple[int, bytes], ...]:
    """(pid, name) of a process and those above it, nearest first; the one below started at `before_ns` since boot.

    `fork(pid, before_ns)` knows how some that are gone began.
    """
    found: list[tuple[int, bytes]] = []
    for _ in range(MAX_STEPS):
        if not pid or len(found) > MAX_ANCESTORS:
            break
        started = _stat_or_none(pid)
        if started is not None and started[2] <= before_ns:
            name, parent, before_ns = started
            found.append((pid, name))
            pid = parent
        else:
            # Gone, and its pid perhaps a younger process's by now: its name is unknown, its parent may be known.
            forked = fork(pid, before_ns)
            pid, before_ns = forked or (None, before_ns)
    return tuple(found)


def _stat_or_none(pid: int) -> tuple[bytes, int, int] | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return process_stat(pid)
    return None


def program_path(pid: int) -> bytes:
    """Return the path of a process's executable, as its container sees it; b"" where it is gone."""
    try:
        return _link(f"/proc/{pid}/exe").removesuffix(b" (deleted)")
    except OSError:
        return b""


def cgroup_names(pid: int) -> tuple[bytes, ...]:
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


def _uid(directory: str) -> int:
    for line in _head(f"{directory}/status").split(b"\n"):
        if line.startswith(b"Uid:"):
            return int(line.split()[1])
    raise ValueError(directory)


def _link(path: str) -> bytes:
    return os.fsencode(os.readlink(path))  # noqa: PTH115


def memfd_dev() -> int:
    """Return the device that every memfd is on."""
    fd = os.memfd_create("driftwatch")
    try:
        return os.fstat(fd).st_dev
    finally:
        os.close(fd)
