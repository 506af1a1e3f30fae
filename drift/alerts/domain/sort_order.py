"""The orders that the list of alerts can be sorted in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SORT_NAMES: Final = ("severity", "name", "resource", "group", "started", "updated", "status")
TIMES: Final = frozenset({"started", "updated"})
DEFAULT_SORT: Final = "-started"


@dataclass(frozen=True)
class SortOrder:
    """A column of SORT_NAMES and a direction. As a string, "-" stands before a descending one."""

    name: str
    descending: bool

    @classmethod
    def parse(cls, string: str) -> SortOrder:
        """Return the order that the string names; DEFAULT_SORT for an unknown column."""
        name = string.removeprefix("-")
        return cls(name, string.startswith("-")) if name in SORT_NAMES else cls.parse(DEFAULT_SORT)

    def __str__(self) -> str:
        return f"-{self.name}" if self.descending else self.name

    @property
    def is_default(self) -> bool:
        return str(self) == DEFAULT_SORT

    @property
    def is_newest_first(self) -> bool:
        """Whether alerts with equal values, or all alerts where the column is a time, go from newest to oldest."""
        return self.descending if self.name in TIMES else not self.descending
