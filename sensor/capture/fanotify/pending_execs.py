"""Execs whose files are held until their processes can be examined."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from typing import TYPE_CHECKING, Final

from sensor.container.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.capture.fanotify.exec_in_progress import ExecInProgress
    from sensor.capture.fanotify.procfs import ProcessFacts

MAX_EXPECTED: Final = 8_192
MAX_LATE: Final = 64
"""Execs that may wait longer than usual at once: in a flood each is taken as it is."""
LATE_SECONDS: Final = 5.0
"""How much longer: on a busy node a process may not get the processor for that long in the middle of its exec."""
RETRY: Final = 0.001
LATE_RETRY: Final = 0.1


class PendingExecs:
    """Execs in progress. `facts` returns the facts of an exec's process now, None where it is gone.

    For one thread.
    """

    def __init__(
        self, facts: Callable[[ExecInProgress], ProcessFacts | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._facts, self._clock = facts, clock
        self._waiting: list[ExecInProgress] = []
        self._late: list[ExecInProgress] = []
        self._look_at = 0.0
        self._images: Recent[int, ExecInProgress] = Recent(MAX_EXPECTED)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def retry_seconds(self) -> float:
        """Return after how long `ready` may find more; infinite where none waits."""
        if self._waiting:
            return RETRY
        return LATE_RETRY if self._late else math.inf

    def add(self, opened: ExecInProgress) -> None:
        """Wait for one; `ready` gives it back."""
        self._images.remove(opened.pid)
        self._waiting.append(opened)

    def expect_interpreter(self, program: ExecInProgress) -> None:
        """Remember a program of the image, which need not wait: its interpreter comes next, and may be drift."""
        self._images.put(program.pid, dataclasses.replace(program, file=None))

    def add_interpreter(self, interpreter: ExecInProgress) -> bool:
        """Wait for a program interpreter with its program, which was opened before; False where that is unknown."""
        program = self._images.get(interpreter.pid)
        if program is not None:
            self.add(program)
        else:
            waiting = itertools.chain(reversed(self._waiting), reversed(self._late))
            program = next((each for each in waiting if each.pid == interpreter.pid), None)
        if program is None or program.interpreter is not None:
            return False
        program.interpreter = interpreter
        return True

    def ready(self) -> list[tuple[ExecInProgress, ProcessFacts | None]]:
        """Return the execs whose process runs their file, with its arguments, or is gone, or has had its time.

        The caller closes them.
        """
        now = self._clock()
        waiting, ready = [], self._ready_late(now) if self._late and now >= self._look_at else []
        for opened in self._waiting:
            facts = self._facts(opened)
            if _is_settled(opened, facts):
                ready.append((opened, facts))
            elif now < opened.until:
                waiting.append(opened)
            elif now < opened.until + LATE_SECONDS and len(self._late) < MAX_LATE:
                self._late.append(opened)
            else:
                ready.append((opened, facts))
        self._waiting = waiting
        return ready

    def _ready_late(self, now: float) -> list[tuple[ExecInProgress, ProcessFacts | None]]:
        self._look_at = now + LATE_RETRY
        late, self._late, ready = self._late, [], []
        for opened in late:
            facts = self._facts(opened)
            if _is_settled(opened, facts) or now >= opened.until + LATE_SECONDS:
                ready.append((opened, facts))
            else:
                self._late.append(opened)
        return ready

    def hurry(self) -> None:
        """Take the execs that wait as they are by now: nobody will look again."""
        for opened in (*self._waiting, *self._late):
            opened.until = -LATE_SECONDS
        self._look_at = 0.0

    def close(self) -> None:
        """Release all files."""
        for opened in (*self._waiting, *self._late):
            opened.close()
        self._waiting, self._late = [], []


def _is_settled(opened: ExecInProgress, facts: ProcessFacts | None) -> bool:
    """Return whether more can't be learned of an exec: its process is gone, or runs the file with its arguments.

    In the middle of an exec a process runs the file already and has no arguments yet.
    """
    return facts is None or (opened.is_certain and opened.is_settled(facts))
