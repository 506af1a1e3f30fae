"""A fair queue: the owners of the work take turns, and each has one piece in work at a time."""

from __future__ import annotations

import collections
import threading
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class FairQueue(Generic[K, T]):
    """A queue per owner, each of a bounded length. Any thread may call it."""

    def __init__(self, max_per_owner: int) -> None:
        self._max_per_owner = max_per_owner
        self._waiting: dict[K, collections.deque[T]] = {}
        self._busy: set[K] = set()
        self._ready: collections.OrderedDict[K, None] = collections.OrderedDict()
        self._changed = threading.Condition()

    def put(self, owner: K, piece: T) -> bool:
        """Queue a piece; returns False where the owner's queue is full."""
        with self._changed:
            queue = self._waiting.setdefault(owner, collections.deque())
            if len(queue) >= self._max_per_owner:
                return False
            queue.append(piece)
            self._make_ready(owner)
            return True

    def take(self) -> tuple[K, T]:
        """Wait for a piece of an owner that has none in work; the caller ends its work with `done`."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready)
            owner, _ = self._ready.popitem(last=False)
            self._busy.add(owner)
            piece = self._waiting[owner].popleft()
            if not self._waiting[owner]:
                del self._waiting[owner]
            return owner, piece

    def done(self, owner: K) -> None:
        """Release the owner's next piece, behind all other owners that wait."""
        with self._changed:
            self._busy.discard(owner)
            self._make_ready(owner)

    def withdraw(self, owner: K, piece: T) -> bool:
        """Remove a piece; returns False where it was taken already."""
        with self._changed:
            queue = self._waiting.get(owner)
            if queue is None or piece not in queue:
                return False
            queue.remove(piece)
            if not queue:
                del self._waiting[owner]
                self._ready.pop(owner, None)
            return True

    def _make_ready(self, owner: K) -> None:
        if owner in self._waiting and owner not in self._busy:
            self._ready.setdefault(owner)
            self._changed.notify()
