"""Patterns of the operator `matches` and of allow lists: `*` is any characters, `?` one, all others themselves.

A pattern holds for the whole string. `*` crosses `/` too. Nothing escapes a wildcard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from sensor.policy.string_tables import SubstringTable

if TYPE_CHECKING:
    from sensor.policy.string_tables import RuleSet

ANY: Final = "*"
ONE: Final = "?"
_PIECES: Final = re.compile(r"[*?]+|[^*?]+")
_LITERALS: Final = re.compile(r"[^*?]+")


class Glob:
    """One pattern. It is compiled when it is first compared: most of a policy's never are."""

    __slots__ = ("_match", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._match: re.Pattern[str] | None = None

    def holds(self, string: str) -> bool:
        """Return whether the pattern holds for a string, in time linear in it."""
        if self._match is None:
            self._match = re.compile(_expression(self.pattern), re.DOTALL)
        return self._match.fullmatch(string) is not None


class GlobTable:
    """Finds which of many patterns hold for a string.

    A pattern can only hold where its longest literal part is in the string: one table of those leaves a few patterns to
    compare.
    """

    __slots__ = ("_always", "_globs", "_literals", "_rules")

    def __init__(self, patterns: dict[str, RuleSet]) -> None:
        self._globs = [Glob(pattern) for pattern in patterns]
        self._rules = list(patterns.values())
        literals: dict[str, int] = {}
        self._always = 0
        for position, pattern in enumerate(patterns):
            literal = longest_literal(pattern)
            if literal:
                literals[literal] = literals.get(literal, 0) | 1 << position
            else:
                self._always |= 1 << position
        self._literals = SubstringTable(literals)

    def matching(self, string: str) -> RuleSet:
        """Return the rules of every pattern that holds for `string`."""
        found = 0
        for position in self._near(string):
            if self._globs[position].holds(string):
                found |= self._rules[position]
        return found

    def maybe_covering(self, strings: Iterable[str]) -> RuleSet:
        """Return the rules of every pattern whose longest literal is in one of `strings`, or that has none."""
        found = 0
        for string in strings:
            for position in self._near(string):
                found |= self._rules[position]
        return found

    def _near(self, string: str) -> Iterable[int]:
        left = self._literals.matching(string) | self._always
        while left:
            first = left & -left
            yield first.bit_length() - 1
            left ^= first


def longest_literal(pattern: str) -> str:
    """Return the longest part of a pattern without wildcards."""
    return max(literals(pattern), key=len, default="")


def literals(pattern: str) -> list[str]:
    """Return the parts of a pattern between its wildcards, in order."""
    return _LITERALS.findall(pattern)


def literal_start(pattern: str) -> str:
    """Return what every string begins with that the pattern holds for."""
    found = _LITERALS.match(pattern)
    return found[0] if found else ""


def literal_end(pattern: str) -> str:
    """Return what every string ends with that the pattern holds for."""
    return literal_start(pattern[::-1])[::-1]


def shortest_length(pattern: str) -> int:
    """Return how many characters the shortest string has that the pattern holds for."""
    return len(pattern) - pattern.count(ANY)


def covers(pattern: str, other: str) -> bool:
    """Return whether `pattern` holds for every string that the pattern `other` holds for. True is never wrong.

    `other` is read as a string in which each wildcard is a letter of its own: `*` of it is matched only by `*`, `?` by
    `?` or `*`.
    """
    wanted, given = _canonical(pattern), _canonical(other)
    # Greedy, as for any pattern: where a part fails, only the last * before it may take one letter more.
    at = place = 0
    star, resume = -1, 0
    while place < len(given):
        letter = wanted[at] if at < len(wanted) else ""
        if letter == ANY:
            star, resume = at, place
            at += 1
        elif letter and given[place] != ANY and letter in (ONE, given[place]):
            at += 1
            place += 1
        elif star >= 0:
            resume += 1
            at, place = star + 1, resume
        else:
            return False
    return not wanted[at:].strip(ANY)


def may_hold_after(pattern: str, known: str) -> bool:
    """Return whether the pattern holds for some string that begins with `known`."""
    places = _skip_stars(pattern, {0})
    for letter in known:
        following = set()
        for place in places:
            if place < len(pattern):
                if pattern[place] == ANY:
                    following.add(place)
                elif pattern[place] in (ONE, letter):
                    following.add(place + 1)
        places = _skip_stars(pattern, following)
        if not places:
            return False
    return True


def _skip_stars(pattern: str, places: set[int]) -> set[int]:
    found = set(places)
    for place in places:
        at = place
        while at < len(pattern) and pattern[at] == ANY:
            at += 1
            found.add(at)
    return found


def _canonical(pattern: str) -> str:
    """Return the pattern with each run of wildcards as its `?`, then one `*`: so equal runs are written alike."""
    return "".join(
        ONE * piece.count(ONE) + (ANY if ANY in piece else "") if piece[0] in (ANY, ONE) else piece
        for piece in _PIECES.findall(pattern)
    )


def _expression(pattern: str) -> str:
    """Return the regular expression of a pattern.

    Each part after a `*` is an atomic group: once it is found, the search never goes back behind it, so that no
    string takes longer than a constant times its length.
    """
    first, *parts = (
        "".join("." if letter == ONE else re.escape(letter) for letter in part) for part in _canonical_parts(pattern)
    )
    if not parts:
        return first
    *middle, last = parts
    return first + "".join(f"(?>.*?{part})" for part in middle if part) + ".*" + last


def _canonical_parts(pattern: str) -> list[str]:
    return re.split(r"\*+", pattern)
