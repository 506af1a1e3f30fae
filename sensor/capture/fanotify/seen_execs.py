"""Which execs fanotify has reported, so that the process connector's reports of the same ones are known."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sensor.container.recent import Recent

if TYPE_CHECKING:
    from sensor.capture.fanotify.process_log import EndedExec
    from sensor.capture.fanotify.procfs import ProcessFacts

MAX_SEEN: Final = 32_768


class SeenExecs:
    """The files that each process opened to execute, by device and inode, with the time when that was read last."""

    def __init__(self) -> None:
        self._read: Recent[tuple[int, tuple[int, int]], int] = Recent(MAX_SEEN)

        self._processes: Recent[int, int] = Recent(MAX_SEEN)

    def note_process(self, pid: int) -> None:
        """Note that a process has opened something to execute, wherever that lies."""
        self._processes.put(pid, time.clock_gettime_ns(time.CLOCK_BOOTTIME))

    def may_have(self, ended: EndedExec) -> bool:
        """Return whether an exec was noted; where what it ran is not known, whether its process has opened anything."""
        if ended.facts is not None:
            return self.has(ended.facts)
        return (self._processes.get(ended.pid) or 0) >= ended.forked_ns

    def note(self, pid: int, exe: tuple[int, int]) -> None:
        """Note what a process has opened to execute, and that it has."""
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self._read.put((pid, exe), now)
        self._processes.put(pid, now)

    def has(self, facts: ProcessFacts) -> bool:
        """Return whether a process's exec of its program was noted: not that of an earlier process with its pid."""
        read_ns = self._read.get((facts.pid, facts.exe))
        return read_ns is not None and read_ns >= facts.start_ns
