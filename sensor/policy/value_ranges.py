"""Conditions evaluated for a whole range of strings, of which only the first and the last in order are known.

Whatever sorts between two strings begins with their common prefix. So the least and the greatest pod name of a
workload give a prefix of all its pods' names, and that settles most values of most rules for all of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sensor.policy.globs import ANY, ONE, Glob, covers, literal_start, may_hold_after, shortest_length
from sensor.policy.string_tables import PrefixTable, RuleSet, SubstringTable

FROM_START: Final = ("starts_with", "equals")
Value = tuple[str, str]
"""An operator and a string, folded where its property is."""


@dataclass(frozen=True, slots=True)
class ValueRange:
    """Some folded strings: their common prefix, and how many bytes followed it unfolded (0: there is only this one)."""

    prefix: str
    rest: int

    @classmethod
    def between(cls, first: str, last: str, max_bytes: int) -> ValueRange:
        """Return the range of the strings from `first` to `last` by code point, none over `max_bytes` in UTF-8."""
        if first == last:
            return cls(first.casefold(), 0)
        pairs = zip(first, last, strict=False)
        prefix = first[: next((place for place, (one, other) in enumerate(pairs) if one != other), len(first))]
        return cls(prefix.casefold(), max_bytes - len(prefix.encode()))

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
                is_near = string[: max(0, len(string) - characters(rest, string))] in known
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
            is_longer = len(string) - len(known) > characters(self.rest, string)
            return None if string.startswith(known) and not is_longer else False
        return None if self._may_reach_rest(string) else False

    def _evaluate_pattern(self, pattern: str) -> bool | None:
        if not self.rest:
            return Glob(pattern).holds(self.prefix)
        longest = len(self.prefix) + characters(self.rest, pattern)
        if shortest_length(pattern) > longest or not may_hold_after(pattern, self.prefix):
            return False
        # A name may have the signs of a pattern itself, which would be read as wildcards here.
        is_plain = ANY not in self.prefix and ONE not in self.prefix
        return True if is_plain and covers(pattern, self.prefix + ANY) else None

    def _may_reach_rest(self, string: str) -> bool:
        """Return whether `string` may begin in the prefix and go on in the unknown rest, or lie in the rest alone."""
        within = len(string) - characters(self.rest, string)
        return within <= 0 or any(self.prefix.endswith(string[:size]) for size in range(within, len(string) + 1))


def characters(rest: int, value: str) -> int:
    """Return how many characters of a folded value, or pattern, so many bytes may make at most.

    Folding makes no more characters of ASCII than there were bytes, and of others up to three of each two bytes
    (`tests/unit/sensor/policy/test_value_ranges.py` tries them all).
    """
    return rest if value.isascii() and ONE not in value else rest * 3 // 2


def evaluate_conditions(pods: ValueRange, conditions: Sequence[Sequence[Value]]) -> bool | None:
    """Return whether every condition holds, for all strings of the range alike; None where they may differ."""
    results = [pods.evaluate(values) for values in conditions]
    if False in results:
        return False
    return None if None in results else True


class NearValues:
    """Finds the rules with a value that may hold for a string of a range; for all others no value of theirs holds.

    Nearly every value of nearly every rule is far from a range, and all of them are compared with its prefix at once.
    """

    __slots__ = ("_followers", "_parts", "_rules", "_starts", "_within")

    def __init__(self, values: Iterable[tuple[str, str, RuleSet]]) -> None:
        """Take operators and strings, each with the rules that have it."""
        starts: dict[str, RuleSet] = {}
        self._parts: dict[str, RuleSet] = {}
        for operator, string, rules in values:
            is_part = operator not in FROM_START and operator != "matches"
            key = literal_start(string) if operator == "matches" else string
            table = self._parts if is_part else starts
            table[key] = table.get(key, 0) | rules
        self._starts = PrefixTable(starts)
        self._followers = sorted(starts)
        self._rules = [starts[string] for string in self._followers]
        self._within: dict[int, tuple[SubstringTable, RuleSet]] = {}

    def rules(self, strings: ValueRange) -> RuleSet:
        """Return the rules that may match some string of the range."""
        known = strings.prefix
        found = self._starts.matching(known)
        place = bisect_left(self._followers, known)
        while place < len(self._followers) and self._followers[place].startswith(known):
            found |= self._rules[place]
            place += 1
        table, always = self._parts_within(strings.rest)
        return found | always | table.matching(known)

    def _parts_within(self, rest: int) -> tuple[SubstringTable, RuleSet]:
        """Return a table of what of each part must lie in the prefix, and the rules whose part may lie in the rest.

        One table does for lengths up to the next power of two: with a longer rest no rule is lost.
        """
        most = rest if rest < 16 else (1 << rest.bit_length()) - 1
        known = self._within.get(most)
        if known is None:
            heads: dict[str, RuleSet] = {}
            for string, rules in self._parts.items():
                head = string[: max(0, len(string) - characters(most, string))]
                heads[head] = heads.get(head, 0) | rules
            always = heads.pop("", 0)
            known = self._within[most] = SubstringTable(heads), always
        return known
