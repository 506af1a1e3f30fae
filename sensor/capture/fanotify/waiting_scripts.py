"""`#!` scripts that were opened to be executed, and wait for their interpreters."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sensor.capture.fanotify.exec_in_progress import ExecInProgress

MAX_CHAIN: Final = 5
"""Scripts that interpret one another in one exec: more the kernel does not run (fs/exec.c)."""


class WaitingScripts:
    """The scripts of each process's exec, outermost first. For one thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_pid: dict[int, list[ExecInProgress]] = {}

    def keep(self, script: ExecInProgress) -> bool:
        """Keep a script for its interpreter, which the kernel opens next: that may be a script too. Always True."""
        chain = self._by_pid.get(script.pid, [])
        if chain and (chain[0].until < time.monotonic() or len(chain) == MAX_CHAIN):
            _close(self._by_pid.pop(script.pid))  # of an exec that failed
            chain = []
        if len(self._by_pid) >= self._limit:
            _close(self._by_pid.pop(next(iter(self._by_pid))))
        self._by_pid[script.pid] = [*chain, script]
        return True

    def take(self, program: ExecInProgress) -> list[ExecInProgress]:
        """Return the scripts that a program was opened for; the caller closes them."""
        chain = self._by_pid.pop(program.pid, [])
        if chain and chain[0].until < time.monotonic():
            _close(chain)  # of an exec that failed
            return []
        # Of another namespace is one of an exec that failed, or what an overlay opened below the script.
        _close([script for script in chain if script.space is not program.space])
        return [script for script in chain if script.space is program.space]

    def close(self) -> None:
        """Release all."""
        for chain in self._by_pid.values():
            _close(chain)
        self._by_pid = {}


def _close(chain: list[ExecInProgress]) -> None:
    for script in chain:
        script.close()
