"""Many values looked up in one text at once; what comes out is the set of rules that they belong to.

A set of rules is an int with bit i for the rule at position i: one `&` or `|` works on all rules together.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

Rules = int
"""A set of rules as a bit mask."""
Pattern = tuple[str, str, Rules]
"""Operator, text, and the rules that ask for it."""

LONGEST_HEAD: Final = 16
MOST_HEAD_LETTERS: Final = 20_000
Trie = dict[str, "Trie"]


class TextIndex:
    """All values that the rules compare one property with.

    Cost per text: one hash for equals, one binary search each for prefixes and suffixes, one pass for
    all contains together; it hardly grows with the number of values.
    """

    __slots__ = ("_looks", "containing", "ending", "equal", "starting")

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        merged: dict[str, dict[str, Rules]] = {"equals": {}, "starts_with": {}, "ends_with": {}, "contains": {}}
        for operator, text, rules in patterns:
            table = merged[operator]
            table[text] = table.get(text, 0) | rules
        self.equal = merged["equals"]
        self.starting = PrefixTable(merged["starts_with"])
        self.ending = SuffixTable(merged["ends_with"])
        self.containing = PartTable(merged["contains"])
        looks = {"starts_with": self.starting.hits, "ends_with": self.ending.hits, "contains": self.containing.hits}
        self._looks = [look for operator, look in looks.items() if merged[operator]]

    def hits(self, text: str) -> Rules:
        """The rules with a value that holds for `text`."""
        found = self.equal.get(text, 0)
        for look in self._looks:
            found |= look(text)
        return found


class FewValues:
    """Whether any of a few values holds for a text: for some dozens it beats the index, which also says which."""

    __slots__ = ("_ends", "_equals", "_parts", "_starts")

    def __init__(self, values: Iterable[tuple[str, str]]) -> None:
        listed = list(dict.fromkeys(values))
        self._equals = frozenset(text for operator, text in listed if operator == "equals")
        self._starts = tuple(text for operator, text in listed if operator == "starts_with")
        self._ends = tuple(text for operator, text in listed if operator == "ends_with")
        self._parts = tuple(text for operator, text in listed if operator == "contains")

    def hold(self, text: str) -> bool:
        """Whether one of them holds for `text`."""
        if text in self._equals or text.startswith(self._starts) or text.endswith(self._ends):
            return True
        # A loop, for a generator costs more than all of these.
        for part in self._parts:  # noqa: SIM110
            if part in text:
                return True
        return False


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


class SuffixTable(PrefixTable):
    """Which of many suffixes a text ends with: prefixes, read backwards."""

    __slots__ = ()

    def __init__(self, suffixes: dict[str, Rules]) -> None:
        super().__init__({suffix[::-1]: rules for suffix, rules in suffixes.items()})

    def hits(self, text: str) -> Rules:
        """The rules of every suffix that `text` ends with."""
        return super().hits(text[::-1]) if self._prefixes else 0


class PartTable:
    """Which of many parts stand anywhere in a text.

    A part stands at a place where the rest of the text starts with it. One regular expression, a trie of the
    parts' first letters, finds the places where any of them may stand in one pass in C; a prefix table says
    which of them do. (Aho and Corasick's automaton, tried in Python, took three times as long.)
    """

    __slots__ = ("_longest", "_search", "_table")

    def __init__(self, parts: dict[str, Rules]) -> None:
        self._table = PrefixTable(parts)
        self._longest = max(map(len, parts), default=0)
        self._search = re.compile(_expression(_trie(_heads(parts)))).search if parts else None

    def hits(self, text: str) -> Rules:
        """The rules of every part that stands in `text`."""
        search, found = self._search, 0
        match = search(text) if search else None
        while search and match:
            start = match.start()
            found |= self._table.hits(text[start : start + self._longest])
            match = search(text, start + 1)
        return found


def _heads(parts: Iterable[str]) -> set[str]:
    """The parts' first letters: as many as keep the expression quick to compile, whatever the policy holds."""
    heads = {part[:LONGEST_HEAD] for part in parts}
    for length in range(LONGEST_HEAD - 1, 0, -1):
        if sum(map(len, heads)) <= MOST_HEAD_LETTERS:
            break
        heads = {head[:length] for head in heads}
    return heads


def _trie(heads: Iterable[str]) -> Trie:
    root: Trie = {}
    for head in heads:
        node = root
        for letter in head:
            node = node.setdefault(letter, {})
        # One that another starts with is enough to know the place: what follows it need not be looked at.
        node[""] = {}
    return root


def _expression(node: Trie) -> str:
    if "" in node:
        return ""
    branches = [re.escape(letter) + _expression(following) for letter, following in node.items()]
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"
