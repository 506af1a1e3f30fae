"""The orders that the list of alerts can be sorted in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SORT_NAMES: Final = ("priority", "severity", "name", "resource", "group", "started", "updated", "status")
GREATEST_FIRST: Final = frozenset({"priority", "severity", "started", "updated"})
"""The columns that a click on their heading sorts from the greatest, the worst or the newest on."""
NEWEST_FIRST: Final = "-started"
"""The order of exports, and of API and searches unless they are asked for another."""
FIRST_ORDER: Final = "-priority"
"""The order of the list, until a user chooses another."""


@dataclass(frozen=True)
class SortOrder:
    """A column of SORT_NAMES and a direction. As a string, "-" stands before a descending one."""

    name: str
    descending: bool

    @classmethod
    def parse(cls, string: str) -> SortOrder:
        """Return the order that the string names; NEWEST_FIRST for an unknown column."""
        name = string.removeprefix("-")
        return cls(name, string.startswith("-")) if name in SORT_NAMES else cls.parse(NEWEST_FIRST)

    def __str__(self) -> str:
        return f"-{self.name}" if self.descending else self.name

    @property
    def is_walkable(self) -> bool:
        """Whether a search may walk along the alerts in this order: the newest first."""
        return str(self) == NEWEST_FIRST

    @property
    def is_newest_first(self) -> bool:
        """Whether alerts with equal values, or all alerts where the column is a time, go from newest to oldest."""
        return self.descending if self.name in GREATEST_FIRST else not self.descending
