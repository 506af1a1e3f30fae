"""Execs held until their container is identified: the runtime may start a container before it answers queries."""

from __future__ import annotations

import threading
import time
from typing import Final, Generic, NamedTuple, TypeVar

T = TypeVar("T")

EXPECT_SECONDS: Final = 2.0
"""From the mount of a container's root filesystem until its execs run unidentified: no runtime knows it."""
MAX_HELD: Final = 256
"""Execs of one container: it must not take the room of all others that are held."""


class OverdueContainer(NamedTuple):
    """A container that was not identified in time; `point` is where its root filesystem is mounted."""

    dev: int
    point: bytes


class UnidentifiedExecs(Generic[T]):
    """Held execs by the device of their container. Any thread may call it."""

    def __init__(self) -> None:
        self._until: dict[OverdueContainer, float] = {}
        self._held: dict[int, list[T]] = {}
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._held)

    def __contains__(self, dev: int) -> bool:
        return dev in self._held

    def expect(self, dev: int, point: bytes) -> None:
        """Hold the execs of this container until `release`."""
        with self._lock:
            self._until[OverdueContainer(dev, point)] = time.monotonic() + EXPECT_SECONDS
            self._held.setdefault(dev, [])

    def hold(self, dev: int, piece: T) -> bool:
        """Hold an exec; returns False, without it, where its container is not expected any more or holds too many."""
        now = time.monotonic()
        with self._lock:
            held = self._held.get(dev, [])
            is_in_time = any(each.dev == dev and until >= now for each, until in self._until.items())
            if not is_in_time or len(held) >= MAX_HELD:
                return False
            held.append(piece)
            return True

    def withdraw(self, piece: T) -> bool:
        """Remove a held exec; returns False where it is not held."""
        with self._lock:
            held = next((pieces for pieces in self._held.values() if piece in pieces), None)
            if held is None:
                return False
            held.remove(piece)
            return True

    def release(self, dev: int) -> list[T]:
        """Stop expecting a container; returns its held execs, oldest first."""
        with self._lock:
            self._until = {each: until for each, until in self._until.items() if each.dev != dev}
            return self._held.pop(dev, [])

    def overdue(self) -> list[OverdueContainer]:
        """Return the containers to release because their time is up."""
        now = time.monotonic()
        with self._lock:
            return [each for each, until in self._until.items() if until < now]
