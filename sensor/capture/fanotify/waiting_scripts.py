"""`#!` scripts that were opened to be executed, and wait for their interpreters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sensor.capture.fanotify.exec_in_progress import ExecInProgress
    from sensor.judgement.exec_files import LocatedFile


class WaitingScripts:
    """At most one script of each process. For one thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_pid: dict[int, ExecInProgress] = {}

    def keep(self, script: ExecInProgress) -> bool:
        """Keep a script for its interpreter, which the kernel opens next; False where that is not needed."""
        before = self._by_pid.get(script.pid)
        if before is not None and before.until > time.monotonic():
            # A script whose interpreter is a script: the outermost counts.
            return False
        if before is not None:
            self._by_pid.pop(script.pid).close()
        if len(self._by_pid) >= self._limit:
            self._by_pid.pop(next(iter(self._by_pid))).close()
        self._by_pid[script.pid] = script
        return True

    def take(self, program: ExecInProgress) -> LocatedFile | None:
        """Return the script that a program was opened for, None where there is none; the caller closes it."""
        script = self._by_pid.pop(program.pid, None)
        if script is None:
            return None
        if script.until < time.monotonic() or script.space is not program.space:
            script.close()  # of an exec that failed
            return None
        return script.located()

    def close(self) -> None:
        """Release all."""
        for script in self._by_pid.values():
            script.close()
        self._by_pid = {}
