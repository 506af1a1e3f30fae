"""Many values compared with one string at once; the result is the set of rules that they belong to.

How sets of rules are kept: `string_tables`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.policy.globs import Glob, GlobTable
from sensor.policy.properties import OPERATORS
from sensor.policy.string_tables import PrefixTable, RuleSet, SubstringTable, SuffixTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Pattern = tuple[str, str, RuleSet]
"""Operator, string, and the rules with that value."""


class ValueIndex:
    """All values that the rules compare one property with.

    The cost per string is one hash for equals, one binary search each for prefixes and suffixes, and one pass each for
    all substrings and all patterns together; it hardly grows with the number of values.
    """

    __slots__ = ("_lookups", "containing", "ending", "equal", "globs", "starting")

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        merged: dict[str, dict[str, RuleSet]] = {operator: {} for operator in OPERATORS}
        for operator, string, rules in patterns:
            table = merged[operator]
            table[string] = table.get(string, 0) | rules
        self.equal = merged["equals"]
        self.starting = PrefixTable(merged["starts_with"])
        self.ending = SuffixTable(merged["ends_with"])
        self.containing = SubstringTable(merged["contains"])
        self.globs = GlobTable(merged["matches"])
        lookups: dict[str, tuple[Callable[[str], RuleSet], Callable[[str, str], bool]]] = {
            "starts_with": (self.starting.matching, str.startswith),
            "ends_with": (self.ending.matching, str.endswith),
            "contains": (self.containing.matching, str.__contains__),
            "matches": (self.globs.matching, str.__eq__),
        }
        self._lookups = [look_up for operator, look_up in lookups.items() if merged[operator]]

    def matching(self, string: str) -> RuleSet:
        """Return the rules with a value that holds for `string`."""
        found = self.equal.get(string, 0)
        for look_up, _ in self._lookups:
            found |= look_up(string)
        return found

    def matching_any(self, strings: Sequence[str]) -> RuleSet:
        """Return the rules with a value that holds for any of a few strings.

        Forms of one name are parts of each other: what a prefix of a string starts with, the string starts with too. So
        each operator looks up only what an earlier string does not include: give the longest first.
        """
        found = 0
        for string in strings:
            found |= self.equal.get(string, 0)
        for look_up, includes in self._lookups:
            searched: list[str] = []
            for string in strings:
                for other in searched:
                    if includes(other, string):
                        break
                else:
                    searched.append(string)
                    found |= look_up(string)
        return found


class ValueTest:
    """Whether any of a few values holds for a string: up to some dozens, this is faster than the index."""

    __slots__ = ("_ends", "_equals", "_globs", "_starts", "_substrings")

    def __init__(self, values: Iterable[tuple[str, str]]) -> None:
        listed = list(dict.fromkeys(values))
        self._equals = frozenset(string for operator, string in listed if operator == "equals")
        self._starts = tuple(string for operator, string in listed if operator == "starts_with")
        self._ends = tuple(string for operator, string in listed if operator == "ends_with")
        self._substrings = tuple(string for operator, string in listed if operator == "contains")
        self._globs = tuple(Glob(string) for operator, string in listed if operator == "matches")

    def holds(self, string: str) -> bool:
        """Return whether one of the values holds for `string`."""
        if string in self._equals or string.startswith(self._starts) or string.endswith(self._ends):
            return True
        # A loop: a generator would cost more than all these comparisons.
        for substring in self._substrings:
            if substring in string:
                return True
        return any(glob.holds(string) for glob in self._globs) if self._globs else False
