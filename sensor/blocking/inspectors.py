"""The threads that inspect held execs: a few, shared fairly among containers, none of them waited for too long.

An inspection may be slow or never end: a large file, or a disk or server that does not answer. Then only its own
container waits, as no other exec of it is inspected until it ends; a new thread replaces the slow one.
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
MAX_QUEUED: Final = 1_000
"""Execs of one container that wait for inspection; more than that run uninspected."""
MAX_OVERDUE: Final = 16
"""Inspections that may hang at once, each of another container."""


@dataclasses.dataclass(eq=False)
class _Inspection:
    """An inspection in progress."""

    owner: int
    since: float
    is_overdue: bool = False


class Inspectors(Generic[T]):
    """Calls `inspect` with each piece of work in threads of its own; `inspect` must not raise."""

    def __init__(self, inspect: Callable[[T], None], seconds: float) -> None:
        """Replace the thread of an inspection that takes longer than `seconds`."""
        self._inspect, self._seconds = inspect, seconds
        self._queue: FairQueue[int, T] = FairQueue(MAX_QUEUED)
        self._running: set[_Inspection] = set()
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the threads."""
        for _ in range(THREADS):
            self._start_thread()

    def _start_thread(self) -> None:
        threading.Thread(target=self._work, name="inspector", daemon=True).start()

    def offer(self, owner: int, piece: T) -> bool:
        """Queue a piece for inspection; returns False where its container's queue is full or an inspection hangs."""
        with self._lock:
            if any(inspection.is_overdue and inspection.owner == owner for inspection in self._running):
                return False
        return self._queue.put(owner, piece)

    def withdraw(self, owner: int, piece: T) -> bool:
        """Cancel an inspection; returns False where it has begun."""
        return self._queue.withdraw(owner, piece)

    def replace_slow(self) -> bool:
        """Start threads in place of those that take too long; returns False where too many do."""
        now = time.monotonic()
        with self._lock:
            late = [each for each in self._running if not each.is_overdue and now - each.since > self._seconds]
            for inspection in late:
                inspection.is_overdue = True
            overdue = sum(inspection.is_overdue for inspection in self._running)
        if overdue > MAX_OVERDUE:
            return False
        for _ in late:
            self._start_thread()
        return True

    def _work(self) -> None:
        is_needed = True
        while is_needed:
            owner, piece = self._queue.take()
            inspection = _Inspection(owner, time.monotonic())
            with self._lock:
                self._running.add(inspection)
            try:
                self._inspect(piece)
            finally:
                with self._lock:
                    self._running.discard(inspection)
                    is_needed = not inspection.is_overdue  # else another thread has taken this one's place
                self._queue.done(owner)
