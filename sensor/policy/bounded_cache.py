"""What was worked out for a value, remembered within bounds."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

CACHE_ENTRIES: Final = 4_096
LONGEST_KEY: Final = 1_024

Result = TypeVar("Result")


class Memo(Generic[Result]):
    """A dict that starts afresh when it is full, and keeps no result for a key of more than LONGEST_KEY letters.

    What an attacker makes up (a path of 4,096 letters, new in every event) can so neither fill the memory nor
    push out more than one round of what is really seen. Threads may share it: at worst a result is found twice.
    """

    __slots__ = ("_entries", "_known", "get")

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._known: dict[Hashable, Result] = {}
        self.get = self._known.get

    def keep(self, key: Hashable, result: Result) -> Result:
        """Remember `result` within bounds, and give it back. A key is a text, or a tuple of texts, tuples and None."""
        if self._entries and _letters(key) <= LONGEST_KEY:
            if len(self._known) >= self._entries:
                self._known.clear()
            self._known[key] = result
        return result

    def __len__(self) -> int:
        return len(self._known)


def _letters(key: Hashable) -> int:
    if isinstance(key, tuple):
        return sum(map(_letters, key))
    return len(key) if isinstance(key, str) else 0
