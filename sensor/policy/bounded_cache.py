"""Cached results within bounds of number and size."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

CACHE_ENTRIES: Final = 4_096
MAX_KEY_CHARACTERS: Final = 1_024

Result = TypeVar("Result")


class BoundedCache(Generic[Result]):
    """A cache that is emptied when it is full, and stores no result for a key over MAX_KEY_CHARACTERS.

    So values that an attacker makes up (a path of 4,096 characters, new in every event) can neither fill the memory
    nor evict more than one round of the values in real use. Threads may share it: at worst a result is computed twice.
    """

    __slots__ = ("_entries", "_results", "get")

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._results: dict[Hashable, Result] = {}
        # The dict's own method: a Python method around it would cost more than the lookup.
        self.get = self._results.get

    def put(self, key: Hashable, result: Result) -> Result:
        """Store `result` if the bounds allow, and return it. Keys are strings or tuples of them and None."""
        if self._entries and _characters(key) <= MAX_KEY_CHARACTERS:
            if len(self._results) >= self._entries:
                self._results.clear()
            self._results[key] = result
        return result

    def __len__(self) -> int:
        return len(self._results)


def _characters(key: Hashable) -> int:
    if isinstance(key, tuple):
        return sum(map(_characters, key))
    return len(key) if isinstance(key, str) else 0
