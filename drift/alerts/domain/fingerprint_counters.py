"""How many events of a fingerprint were stored in this clock hour, in this process and in the others."""

from __future__ import annotations

import uuid
from functools import lru_cache


class FingerprintCounter:
    """The events of one fingerprint in one clock hour: those stored here, and those that other processes reported."""

    __slots__ = ("_hour", "_stored", "_unshared", "fingerprint", "packed")

    def __init__(self, fingerprint: uuid.UUID) -> None:
        self.fingerprint = fingerprint
        self.packed = fingerprint.bytes
        self._hour = self._stored = self._unshared = 0

    def stored(self, hour: int) -> int:
        """Return how many events of that hour were stored, as far as this process knows."""
        return self._stored if hour == self._hour else 0

    def admits(self, hour: int, position: int, limit: int) -> bool:
        """Return whether the event at `position` (from 1) of the next ones is among the first `limit` of the hour."""
        return self.stored(hour) + position <= limit

    def add(self, hour: int, count: int) -> None:
        """Count events that were stored."""
        # No lock: two threads may both count the event that reaches the limit. The limit saves disk space, and one
        # more event does no harm, whereas a lock would be taken for every event.
        if hour != self._hour:
            self._hour, self._stored, self._unshared = hour, 0, 0
        self._stored += count
        self._unshared += count

    def take_unshared(self) -> int:
        """Return how many events this process has not reported to the others; they count as reported from now on."""
        unshared, self._unshared = self._unshared, 0
        return unshared

    def set_total(self, hour: int, total: int) -> None:
        """Take over the total of all processes, which lacks only what was stored here since the last report."""
        if hour == self._hour:
            self._stored = total + self._unshared


@lru_cache(maxsize=65_536)
def fingerprint_counter(fingerprint: uuid.UUID) -> FingerprintCounter:
    """Return this process's counter of the fingerprint."""
    return FingerprintCounter(fingerprint)
