"""Conditions evaluated for a whole range of strings, of which only the first and the last in order are known.

Whatever sorts between two strings begins with their common prefix. So the least and the greatest pod name of a
workload give a prefix of all its pods' names, and that settles most values of most rules for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sensor.policy.globs import ANY, ONE, Glob, covers, literal_start, may_hold_after, shortest_length

FROM_START: Final = ("starts_with", "equals")
Value = tuple[str, str]
"""An operator and a string, folded where its property is."""


@dataclass(frozen=True, slots=True)
class ValueRange:
    """Some folded strings: their common prefix, and how many characters may follow it (0: there is only this one)."""

    prefix: str
    rest: int

    @classmethod
    def between(cls, first: str, last: str, max_bytes: int, is_ascii: bool) -> ValueRange:  # noqa: FBT001 - a column
        """Return the range of the strings from `first` to `last` by code point, none over `max_bytes` in UTF-8."""
        if first == last:
            return cls(first.casefold(), 0)
        pairs = zip(first, last, strict=False)
        prefix = first[: next((place for place, (one, other) in enumerate(pairs) if one != other), len(first))]
        rest = max_bytes - len(prefix.encode())
        # Folding makes at most three characters of one, which then had two bytes or more; in ASCII it stays one.
        return cls(prefix.casefold(), rest if is_ascii else rest * 3 // 2)

    def evaluate(self, values: Iterable[Value]) -> bool | None:
        """Return whether any of the values holds, for every string alike; None where strings may differ."""
        result: bool | None = False
        known, rest = self.prefix, self.rest
        for operator, string in values:
            # Nearly every value is far from the prefix, which one comparison shows.
            if operator == "matches":
                start = literal_start(string)
                is_near = known.startswith(start) or start.startswith(known)
            elif operator in FROM_START:
                is_near = known.startswith(string) or string.startswith(known)
            else:
                is_near = string[: max(0, len(string) - rest)] in known
            holds = self._evaluate(operator, string) if is_near else False
            if holds:
                return True
            if holds is None:
                result = None
        return result

    def _evaluate(self, operator: str, string: str) -> bool | None:
        known = self.prefix
        if operator == "starts_with" and known.startswith(string):
            return True
        if operator == "contains" and string in known:
            return True
        if operator == "matches":
            return self._evaluate_pattern(string)
        if not self.rest:
            return known.endswith(string) if operator == "ends_with" else operator == "equals" and known == string
        if operator in FROM_START:
            return None if string.startswith(known) and len(string) - len(known) <= self.rest else False
        return None if self._may_reach_rest(string) else False

    def _evaluate_pattern(self, pattern: str) -> bool | None:
        if not self.rest:
            return Glob(pattern).holds(self.prefix)
        if shortest_length(pattern) > len(self.prefix) + self.rest or not may_hold_after(pattern, self.prefix):
            return False
        # A name may have the signs of a pattern itself, which would be read as wildcards here.
        is_plain = ANY not in self.prefix and ONE not in self.prefix
        return True if is_plain and covers(pattern, self.prefix + ANY) else None

    def _may_reach_rest(self, string: str) -> bool:
        """Return whether `string` may begin in the prefix and go on in the unknown rest, or lie in the rest alone."""
        within = len(string) - self.rest
        return within <= 0 or any(self.prefix.endswith(string[:size]) for size in range(within, len(string) + 1))


def evaluate_conditions(pods: ValueRange, conditions: Sequence[Sequence[Value]]) -> bool | None:
    """Return whether every condition holds, for all strings of the range alike; None where they may differ."""
    results = [pods.evaluate(values) for values in conditions]
    if False in results:
        return False
    return None if None in results else True
