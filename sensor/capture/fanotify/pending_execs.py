"""Execs whose files are held until their processes can be examined."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Final

from sensor.container.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.capture.fanotify.exec_in_progress import ExecInProgress
    from sensor.capture.fanotify.procfs import ProcessFacts

MAX_EXPECTED: Final = 8_192


class PendingExecs:
    """Execs in progress. `facts` returns the facts of an exec's process now, None where it is gone.

    For one thread.
    """

    def __init__(
        self, facts: Callable[[ExecInProgress], ProcessFacts | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._facts, self._clock = facts, clock
        self._waiting: list[ExecInProgress] = []
        self._images: Recent[int, ExecInProgress] = Recent(MAX_EXPECTED)

    def __len__(self) -> int:
        return len(self._waiting)

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
            program = next((each for each in reversed(self._waiting) if each.pid == interpreter.pid), None)
        if program is None or program.interpreter is not None:
            return False
        program.interpreter = interpreter
        return True

    def ready(self) -> list[tuple[ExecInProgress, ProcessFacts | None]]:
        """Return the execs whose process runs their file, with its arguments, or is gone, or has had its time.

        The caller closes them.
        """
        waiting, ready = [], []
        for opened in self._waiting:
            facts = self._facts(opened)
            # In the middle of an exec a process runs the file already and has no arguments yet.
            is_settled = opened.is_certain and opened.is_settled(facts)
            if facts is None or is_settled or self._clock() >= opened.until:
                ready.append((opened, facts))
            else:
                waiting.append(opened)
        self._waiting = waiting
        return ready

    def close(self) -> None:
        """Release all files."""
        for opened in self._waiting:
            opened.close()
        self._waiting = []
