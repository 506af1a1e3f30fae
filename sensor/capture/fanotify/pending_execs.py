"""Execs that are waited for: their files are held until their processes can be looked at."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.capture.fanotify.exec_in_progress import Opened
    from sensor.capture.fanotify.procfs import Facts


class Pending:
    """`facts_of` says what is known of an exec's process now, None where it is gone. For one thread."""

    def __init__(self, facts_of: Callable[[Opened], Facts | None], clock: Callable[[], float] = time.monotonic) -> None:
        self._facts_of, self._clock = facts_of, clock
        self._waiting: list[Opened] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, opened: Opened) -> None:
        """Wait for one; `ready` gives it back."""
        self._waiting.append(opened)

    def ready(self) -> list[tuple[Opened, Facts | None]]:
        """Those whose process runs their file, with its arguments, or is gone, or has had its time. The caller closes.

        In the middle of an exec a process runs the file already and has no arguments yet.
        """
        waiting, ready = [], []
        for opened in self._waiting:
            facts = self._facts_of(opened)
            is_settled = opened.is_certain and opened.is_settled_by(facts)
            if facts is None or is_settled or self._clock() >= opened.until:
                ready.append((opened, facts))
            else:
                waiting.append(opened)
        self._waiting = waiting
        return ready

    def close(self) -> None:
        """Let all files go."""
        for opened in self._waiting:
            opened.close()
        self._waiting = []
