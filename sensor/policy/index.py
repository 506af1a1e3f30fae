"""Many values looked up in one text at once; what comes out is the set of rules that they belong to.

A set of rules is an int with bit i for the rule at position i: one `&` or `|` works on all rules together.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable

Rules = int
"""A set of rules as a bit mask."""
Pattern = tuple[str, str, Rules]
"""Operator, text, and the rules that ask for it."""


class TextIndex:
    """All values that the rules compare one property with.

    Cost per text: one hash for equals, one binary search each for prefixes and suffixes, one pass for
    all contains together; it hardly grows with the number of values.
    """

    __slots__ = ("_contains", "_equals", "_prefixes", "_suffixes")

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        merged: dict[str, dict[str, Rules]] = {"equals": {}, "starts_with": {}, "ends_with": {}, "contains": {}}
        for operator, text, rules in patterns:
            table = merged[operator]
            table[text] = table.get(text, 0) | rules
        self._equals = merged["equals"]
        self._prefixes = PrefixTable(merged["starts_with"])
        self._suffixes = PrefixTable({text[::-1]: rules for text, rules in merged["ends_with"].items()})
        self._contains = Automaton(merged["contains"])

    def hits(self, text: str) -> Rules:
        """The rules with a value that holds for `text`."""
        return self.equal(text) | self.starting(text) | self.ending(text) | self.containing(text)

    def equal(self, text: str) -> Rules:
        return self._equals.get(text, 0)

    def starting(self, text: str) -> Rules:
        return self._prefixes.hits(text)

    def ending(self, text: str) -> Rules:
        return self._suffixes.hits(text[::-1])

    def containing(self, text: str) -> Rules:
        return self._contains.hits(text)


class PrefixTable:
    """Which of many prefixes a text starts with: a binary search and a step up per nested prefix.

    The longest prefix that matches sorts at or before the text, and whatever sorts between the two starts
    with it. So it is the found entry itself or one of those that the found entry starts with.
    """

    __slots__ = ("_parents", "_prefixes", "_rules")

    def __init__(self, prefixes: dict[str, Rules]) -> None:
        self._prefixes = sorted(prefixes)
        self._parents: list[int] = []
        self._rules: list[Rules] = []
        chain: list[int] = []
        for position, prefix in enumerate(self._prefixes):
            while chain and not prefix.startswith(self._prefixes[chain[-1]]):
                chain.pop()
            parent = chain[-1] if chain else -1
            self._parents.append(parent)
            self._rules.append(prefixes[prefix] | (self._rules[parent] if chain else 0))
            chain.append(position)

    def hits(self, text: str) -> Rules:
        """The rules of every prefix that `text` starts with."""
        position = bisect_right(self._prefixes, text) - 1
        while position >= 0:
            if text.startswith(self._prefixes[position]):
                return self._rules[position]
            position = self._parents[position]
        return 0


class Automaton:
    """Every one of many texts that stands somewhere in a text, found in one pass (Aho and Corasick, 1975)."""

    __slots__ = ("_fallback", "_next", "_rules")

    def __init__(self, patterns: dict[str, Rules]) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._rules: list[Rules] = [0]
        for text, rules in patterns.items():
            self._rules[self._add(text)] |= rules
        self._fallback = [0] * len(self._next)
        self._link()

    def hits(self, text: str) -> Rules:
        """The rules of every pattern that stands in `text`."""
        steps, fallback, rules = self._next, self._fallback, self._rules
        found = state = 0
        for letter in text:
            following = steps[state].get(letter)
            while following is None and state:
                state = fallback[state]
                following = steps[state].get(letter)
            if following:
                state = following
                found |= rules[state]
        return found

    def _add(self, text: str) -> int:
        state = 0
        for letter in text:
            following = self._next[state].get(letter)
            if following is None:
                following = self._next[state][letter] = len(self._next)
                self._next.append({})
                self._rules.append(0)
            state = following
        return state

    def _link(self) -> None:
        """Breadth first: a state falls back to the longest other one that its text ends with, and has its rules too."""
        waiting = deque(self._next[0].values())
        while waiting:
            state = waiting.popleft()
            self._rules[state] |= self._rules[self._fallback[state]]
            for letter, following in self._next[state].items():
                self._fallback[following] = self._step(self._fallback[state], letter)
                waiting.append(following)

    def _step(self, state: int, letter: str) -> int:
        while letter not in self._next[state]:
            if not state:
                return 0
            state = self._fallback[state]
        return self._next[state][letter]
