"""Execs in containers of which the sensor has not said yet whose they are: they wait for that, as long as they may."""

from __future__ import annotations

import threading
import time
from typing import Final, Generic, NamedTuple, TypeVar

T = TypeVar("T")

EXPECT_SECONDS: Final = 2.0
"""From the mount of its root filesystem until a container's execs wait for no word any more: no runtime knows it."""
MAX_PARKED: Final = 256
"""Execs of one container: else it could take the place of all others that are held."""


class OverdueContainer(NamedTuple):
    """A container of which it was expected for too long; `point` is where its root filesystem is mounted."""

    dev: int
    point: bytes


class UnidentifiedExecs(Generic[T]):
    """Pieces of work by the device of their container. From any thread."""

    def __init__(self) -> None:
        self._until: dict[OverdueContainer, float] = {}
        self._parked: dict[int, list[T]] = {}
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._parked)

    def __contains__(self, dev: int) -> bool:
        return dev in self._parked

    def expect(self, dev: int, point: bytes) -> None:
        """Keep what is offered of this container until it is `settled`."""
        with self._lock:
            self._until[OverdueContainer(dev, point)] = time.monotonic() + EXPECT_SECONDS
            self._parked.setdefault(dev, [])

    def park(self, dev: int, piece: T) -> bool:
        """False where nothing is expected of it any more, or too many are kept: then it is not."""
        now = time.monotonic()
        with self._lock:
            parked = self._parked.get(dev, [])
            is_in_time = any(each.dev == dev and until >= now for each, until in self._until.items())
            if not is_in_time or len(parked) >= MAX_PARKED:
                return False
            parked.append(piece)
            return True

    def withdraw(self, piece: T) -> bool:
        """Take back what is kept; False where it is not."""
        with self._lock:
            kept = next((pieces for pieces in self._parked.values() if piece in pieces), None)
            if kept is None:
                return False
            kept.remove(piece)
            return True

    def settled(self, dev: int) -> list[T]:
        """Expect nothing any more; what was kept until now, oldest first."""
        with self._lock:
            self._until = {each: until for each, until in self._until.items() if each.dev != dev}
            return self._parked.pop(dev, [])

    def overdue(self) -> list[OverdueContainer]:
        """Those that are to be settled without a word."""
        now = time.monotonic()
        with self._lock:
            return [each for each, until in self._until.items() if until < now]
