"""Execs whose files are held until their processes can be examined."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.capture.fanotify.exec_in_progress import ExecInProgress
    from sensor.capture.fanotify.procfs import ProcessFacts


class PendingExecs:
    """Execs in progress. `facts` returns the facts of an exec's process now, None where it is gone.

    For one thread.
    """

    def __init__(
        self, facts: Callable[[ExecInProgress], ProcessFacts | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._facts, self._clock = facts, clock
        self._waiting: list[ExecInProgress] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, opened: ExecInProgress) -> None:
        """Wait for one; `ready` gives it back."""
        self._waiting.append(opened)

    def latest(self, pid: int) -> ExecInProgress | None:
        """Return the latest exec of a process that waits."""
        return next((opened for opened in reversed(self._waiting) if opened.pid == pid), None)

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
