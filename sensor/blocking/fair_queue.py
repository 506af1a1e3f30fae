"""Work of many parties for a few threads: each party in its turn, and of each one piece at a time."""

from __future__ import annotations

import collections
import threading
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class FairQueue(Generic[K, T]):
    """A queue for each party, of `most` pieces at most. From any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: dict[K, collections.deque[T]] = {}
        self._busy: set[K] = set()
        self._ready: collections.OrderedDict[K, None] = collections.OrderedDict()
        self._changed = threading.Condition()

    def put(self, whose: K, piece: T) -> bool:
        """False where that party has as much waiting as it may."""
        with self._changed:
            queue = self._waiting.setdefault(whose, collections.deque())
            if len(queue) >= self._most:
                return False
            queue.append(piece)
            self._make_ready(whose)
            return True

    def take(self) -> tuple[K, T]:
        """Wait for a piece of a party that has none in work; whoever took it says when it is `done`."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready)
            whose, _ = self._ready.popitem(last=False)
            self._busy.add(whose)
            piece = self._waiting[whose].popleft()
            if not self._waiting[whose]:
                del self._waiting[whose]
            return whose, piece

    def done(self, whose: K) -> None:
        """Let the next piece of that party be taken, behind all others that wait."""
        with self._changed:
            self._busy.discard(whose)
            self._make_ready(whose)

    def withdraw(self, whose: K, piece: T) -> bool:
        """Take back what nobody took yet; False where somebody did."""
        with self._changed:
            queue = self._waiting.get(whose)
            if queue is None or piece not in queue:
                return False
            queue.remove(piece)
            if not queue:
                del self._waiting[whose]
                self._ready.pop(whose, None)
            return True

    def _make_ready(self, whose: K) -> None:
        if whose in self._waiting and whose not in self._busy:
            self._ready.setdefault(whose)
            self._changed.notify()
