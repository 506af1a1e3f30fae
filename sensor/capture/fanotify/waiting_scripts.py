"""`#!` scripts that were opened to be executed, and wait for their interpreters."""

from __future__ import annotations

import dataclasses
import itertools
import time
from typing import TYPE_CHECKING, Final

from sensor.capture.fanotify.script_lines import MAX_CHAIN
from sensor.container.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sensor.capture.fanotify.exec_in_progress import ExecInProgress
    from sensor.capture.fanotify.script_lines import Interpreters

MAX_PROGRAMS: Final = 8_192
MERGED_NS: Final = 2_000_000_000
"""A file that a process opens again is not reported again while the first report waits to be read: no longer apart."""


@dataclasses.dataclass(slots=True)
class OverdueScripts:
    """Scripts of one exec whose interpreter was not reported in time, outermost first.

    `interpreters` are those of the last one, None where that can't be known. `programs` are those that the process
    opened last before and first after: either may have run them.
    """

    scripts: list[ExecInProgress]
    programs: list[ExecInProgress]
    interpreters: Interpreters | None = None
    words: int | None = None
    """Before the name of the first script in the arguments; None where that can't be known."""

    @property
    def program(self) -> ExecInProgress | None:
        """The program that ran them; None where their exec failed, or its program was not reported."""
        fitting = (each for each in self.programs if self._may_be_run_by(each))
        return next((each for each in fitting if each.space is self.scripts[-1].space), None)

    def as_exec(self) -> ExecInProgress | None:
        """Return the exec of the program that ran them, which has had its time; None of none."""
        program = self.program
        if program is None:
            return None
        return dataclasses.replace(
            program,
            scripts=scripts_of_space(self.scripts, program),
            time_ns=self.scripts[-1].time_ns,
            until=0.0,
            is_one_of_several=True,
            words=self.words,
        )

    @property
    def is_lost(self) -> bool:
        """Whether they may have run, by a program that is not known."""
        if self.interpreters is None:
            return True
        return bool(self.interpreters.files) and not any(map(self._may_be_run_by, self.programs))

    def is_of_another_than(self, following: ExecInProgress) -> bool:
        """Whether what they name ran before, and the file that was opened next is nothing that they name."""
        if self.interpreters is None or following.exe in self.interpreters.files:
            return False
        return self.program is not None

    def _may_be_run_by(self, program: ExecInProgress) -> bool:
        return self.interpreters is not None and program.exe in self.interpreters.files

    def close(self) -> None:
        """Release the files."""
        for script in self.scripts:
            script.close()


class WaitingScripts:
    """The scripts of each process's exec, outermost first. For one thread."""

    def __init__(self, limit: int, interpreters: Callable[[ExecInProgress], Interpreters | None]) -> None:
        """`interpreters` returns what a script names; None where that can't be known."""
        self._limit, self._interpreters = limit, interpreters
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
            if last.is_of_another_than(program):
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

    def _execs(self, chain: OverdueScripts) -> list[OverdueScripts]:
        """Return the scripts of each exec, in order.

        Nothing tells where one ends, but that what its scripts name ran before and is not what was opened next.
        """
        execs: list[OverdueScripts] = []
        for script in chain.scripts:
            interpreters = self._interpreters(script)
            if not execs or execs[-1].is_of_another_than(script):
                execs.append(OverdueScripts([], chain.programs, words=interpreters and interpreters.words))
            execs[-1].scripts.append(script)
            execs[-1].interpreters = interpreters
        for earlier, later in itertools.combinations(execs, 2):
            if earlier.scripts[0].exe == later.scripts[0].exe:
                earlier.words = None  # arguments that name it are the later one's
        return execs

    def hurry(self) -> None:
        """Take the scripts that wait as overdue: nobody will look again."""
        for chain in self._by_pid.values():
            for script in chain.scripts:
                script.until = 0.0

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
