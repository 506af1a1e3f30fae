"""`#!` scripts that were opened to be executed, and wait for their interpreters."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Final

from sensor.container.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sensor.capture.fanotify.exec_in_progress import ExecInProgress

MAX_CHAIN: Final = 5
"""Scripts that interpret one another in one exec: more the kernel does not run (fs/exec.c)."""
MAX_PROGRAMS: Final = 8_192
MERGED_NS: Final = 2_000_000_000
"""A file that a process opens again is not reported again while the first report waits to be read: no longer apart."""
UNKNOWN: Final = (-1, -1)


@dataclasses.dataclass(slots=True)
class OverdueScripts:
    """Scripts of one exec whose interpreter was not reported in time, outermost first.

    `interpreter` is what the last one names, by device and inode: None of nothing, UNKNOWN where that can't be seen.
    `programs` are those that the process opened last before and first after: either may be the interpreter.
    """

    scripts: list[ExecInProgress]
    programs: list[ExecInProgress]
    interpreter: tuple[int, int] | None = UNKNOWN

    @property
    def program(self) -> ExecInProgress | None:
        """The program that ran them; None where their exec failed."""
        space = self.scripts[-1].space
        fitting = (each for each in self.programs if each.exe == self.interpreter and each.space is space)
        return next(fitting, None)

    def close(self) -> None:
        """Release the files."""
        for script in self.scripts:
            script.close()


class WaitingScripts:
    """The scripts of each process's exec, outermost first. For one thread."""

    def __init__(self, limit: int, interpreter: Callable[[ExecInProgress], tuple[int, int] | None]) -> None:
        """`interpreter` returns device and inode of what a script names; raises OSError."""
        self._limit, self._interpreter = limit, interpreter
        self._by_pid: dict[int, OverdueScripts] = {}
        self._programs: Recent[int, ExecInProgress] = Recent(MAX_PROGRAMS)
        self._overdue: list[OverdueScripts] = []

    def keep(self, script: ExecInProgress) -> bool:
        """Keep a script for its interpreter, which the kernel opens next: that may be a script too. Always True."""
        chain = self._by_pid.get(script.pid)
        if chain is not None and (chain.scripts[0].until < time.monotonic() or len(chain.scripts) == MAX_CHAIN):
            self._overdue += self._execs(self._by_pid.pop(script.pid))
            chain = None
        if chain is None:
            before = self._programs.get(script.pid)
            chain = OverdueScripts([], [before] if before and script.time_ns - before.time_ns < MERGED_NS else [])
            if len(self._by_pid) >= self._limit:
                self._overdue += self._execs(self._by_pid.pop(next(iter(self._by_pid))))
            self._by_pid[script.pid] = chain
        chain.scripts.append(script)
        return True

    def take(self, program: ExecInProgress) -> Sequence[ExecInProgress]:
        """Return the scripts that a program was opened for; the caller closes them."""
        chain = self._by_pid.pop(program.pid, None)
        plain = dataclasses.replace(program, file=None, scripts=(), interpreter=None)
        self._programs.put(program.pid, plain)
        if chain is None:
            return []
        if chain.scripts[0].until < time.monotonic():
            chain.programs.append(plain)
            self._overdue += self._execs(chain)
            return []
        if chain.programs:
            *earlier, last = self._execs(chain)
            self._overdue += earlier
            if last.interpreter not in (program.exe, UNKNOWN):
                self._overdue.append(last)
                return []
            chain = last
        # Of another namespace is one of an exec that failed, or what an overlay opened below the script.
        return scripts_of_space(chain.scripts, program)

    def overdue(self) -> list[OverdueScripts]:
        """Return those whose time is over; the caller closes them.

        Their exec failed, or the report of their interpreter was read late; or it is what the process ran before: the
        kernel reports a file once that one process opens twice before the first report is read.
        """
        now = time.monotonic()
        for pid in [pid for pid, chain in self._by_pid.items() if chain.scripts[0].until < now]:
            self._overdue += self._execs(self._by_pid.pop(pid))
        found, self._overdue = self._overdue, []
        return found

    def _execs(self, chain: OverdueScripts) -> Iterator[OverdueScripts]:
        """Yield the scripts of each exec: one that the script before does not name was executed by itself."""
        scripts: list[ExecInProgress] = []
        for number, script in enumerate(chain.scripts, start=1):
            scripts.append(script)
            try:
                interpreter = self._interpreter(script)
            except OSError:
                interpreter = UNKNOWN
            if number == len(chain.scripts) or interpreter != chain.scripts[number].exe:
                yield OverdueScripts(scripts, chain.programs, interpreter)
                scripts = []

    def close(self) -> None:
        """Release all."""
        for chain in (*self._by_pid.values(), *self._overdue):
            chain.close()
        self._by_pid, self._overdue = {}, []


def scripts_of_space(scripts: Sequence[ExecInProgress], program: ExecInProgress) -> list[ExecInProgress]:
    """Return the scripts that are in the program's container; the others are closed."""
    for script in scripts:
        if script.space is not program.space:
            script.close()
    return [script for script in scripts if script.space is program.space]
