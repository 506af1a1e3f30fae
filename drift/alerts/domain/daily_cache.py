"""A dict that is emptied every day, shared by the threads of a process."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
MAX_ENTRIES: Final = 65_536
"""Entries of each cache. Keys are digests, so a full cache takes about 30 MB whatever sensors send."""


class DailyCache(Generic[Key, Value]):
    """Entries of the current UTC day. Starts empty on a new day, and when it is full."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._day: dt.date | None = None
        self._entries: dict[Key, Value] = {}

    def today(self) -> dict[Key, Value]:
        """Return the entries; the caller adds those that were missing."""
        day = dt.datetime.now(dt.UTC).date()
        with self._lock:
            if self._day != day or len(self._entries) > MAX_ENTRIES:
                # A new dict rather than clear(): other threads may still read the one they were given.
                self._day, self._entries = day, {}
            return self._entries

    def clear(self) -> None:
        with self._lock:
            self._day, self._entries = None, {}
