"""The threads that look at held execs: few, in turn for each container, and none of them waited for too long.

A look may be slow, or never end: a large file, a disk or server that does not answer. Then its container alone
waits, for its other execs are not looked at meanwhile; a new thread takes the slow one's place.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from sensor.blocking.fair_queue import FairQueue

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

THREADS: Final = 4
MAX_QUEUED: Final = 256
"""Execs of one container that wait for their look; what is beyond that is not looked at."""
MAX_OVERDUE: Final = 16
"""Looks that may hang at once, each of another container."""


@dataclasses.dataclass(eq=False)
class _Look:
    """One that is under way."""

    whose: int
    since: float
    is_overdue: bool = False


class Inspectors(Generic[T]):
    """`look` is called with each piece of work, in threads of this object's own; it raises nothing."""

    def __init__(self, look: Callable[[T], None], seconds: float) -> None:
        """`seconds`: how long a look may take before its thread is given up."""
        self._look, self._seconds = look, seconds
        self._turns: FairQueue[int, T] = FairQueue(MAX_QUEUED)
        self._running: set[_Look] = set()
        self._lock = threading.Lock()

    def start(self) -> None:
        for _ in range(THREADS):
            self._start_one()

    def _start_one(self) -> None:
        threading.Thread(target=self._work, name="look", daemon=True).start()

    def offer(self, whose: int, piece: T) -> bool:
        """Have it looked at; False where its container has too many waiting, or one that takes too long."""
        with self._lock:
            if any(look.is_overdue and look.whose == whose for look in self._running):
                return False
        return self._turns.put(whose, piece)

    def withdraw(self, whose: int, piece: T) -> bool:
        """Do without the look; False where it has begun."""
        return self._turns.withdraw(whose, piece)

    def keep_time(self) -> bool:
        """Put new threads in the place of those whose look takes too long; False where too many do."""
        now = time.monotonic()
        with self._lock:
            late = [look for look in self._running if not look.is_overdue and now - look.since > self._seconds]
            for look in late:
                look.is_overdue = True
            overdue = sum(look.is_overdue for look in self._running)
        if overdue > MAX_OVERDUE:
            return False
        for _ in late:
            self._start_one()
        return True

    def _work(self) -> None:
        is_needed = True
        while is_needed:
            whose, piece = self._turns.take()
            look = _Look(whose, time.monotonic())
            with self._lock:
                self._running.add(look)
            try:
                self._look(piece)
            finally:
                with self._lock:
                    self._running.discard(look)
                    is_needed = not look.is_overdue
                self._turns.done(whose)
