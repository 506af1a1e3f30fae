"""Tables of many prefixes, suffixes or substrings, each compared with one string at once.

A set of rules is an int with bit i for the rule at position i: one `&` or `|` works on all rules together.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

RuleSet = int
"""A set of rules as a bit mask."""

MAX_HEAD_LENGTH: Final = 16
MAX_HEAD_CHARACTERS: Final = 20_000
Trie = dict[str, "Trie"]


class PrefixTable:
    """Finds which of many prefixes a string starts with, by a binary search and a step up per nested prefix.

    The longest prefix that matches sorts at or before the string, and whatever sorts between the two starts with it.
    So it is the entry that the search finds, or one of the prefixes of that entry.
    """

    __slots__ = ("_parents", "_prefixes", "_rules")

    def __init__(self, prefixes: dict[str, RuleSet]) -> None:
        self._prefixes = sorted(prefixes)
        self._parents: list[int] = []
        self._rules: list[RuleSet] = []
        chain: list[int] = []
        for position, prefix in enumerate(self._prefixes):
            while chain and not prefix.startswith(self._prefixes[chain[-1]]):
                chain.pop()
            parent = chain[-1] if chain else -1
            self._parents.append(parent)
            self._rules.append(prefixes[prefix] | (self._rules[parent] if chain else 0))
            chain.append(position)

    def matching(self, string: str) -> RuleSet:
        """Return the rules of every prefix that `string` starts with."""
        position = bisect_right(self._prefixes, string) - 1
        while position >= 0:
            if string.startswith(self._prefixes[position]):
                return self._rules[position]
            position = self._parents[position]
        return 0


class SuffixTable(PrefixTable):
    """Finds which of many suffixes a string ends with: prefixes, read backwards."""

    __slots__ = ()

    def __init__(self, suffixes: dict[str, RuleSet]) -> None:
        super().__init__({suffix[::-1]: rules for suffix, rules in suffixes.items()})

    def matching(self, string: str) -> RuleSet:
        """Return the rules of every suffix that `string` ends with."""
        return super().matching(string[::-1]) if self._prefixes else 0


class SubstringTable:
    """Finds which of many substrings are in a string.

    A substring is where the rest of the string starts with it. One regular expression, a trie of the substrings' first
    characters, finds all candidate positions in one pass in C; a prefix table finds which substrings are there.
    (An Aho-Corasick automaton in Python took three times as long.)
    """

    __slots__ = ("_longest", "_search", "_table")

    def __init__(self, substrings: dict[str, RuleSet]) -> None:
        self._table = PrefixTable(substrings)
        self._longest = max(map(len, substrings), default=0)
        self._search = re.compile(_expression(_trie(_heads(substrings)))).search if substrings else None

    def matching(self, string: str) -> RuleSet:
        """Return the rules of every substring of `string`."""
        search, found = self._search, 0
        match = search(string) if search else None
        while search and match:
            start = match.start()
            found |= self._table.matching(string[start : start + self._longest])
            match = search(string, start + 1)
        return found


def _heads(substrings: Iterable[str]) -> set[str]:
    """Return the substrings' first characters: as many as keep the expression quick to compile for any policy."""
    heads = {substring[:MAX_HEAD_LENGTH] for substring in substrings}
    for length in range(MAX_HEAD_LENGTH - 1, 0, -1):
        if sum(map(len, heads)) <= MAX_HEAD_CHARACTERS:
            break
        heads = {head[:length] for head in heads}
    return heads


def _trie(heads: Iterable[str]) -> Trie:
    root: Trie = {}
    for head in heads:
        node = root
        for character in head:
            node = node.setdefault(character, {})
        # A head that others start with ends the branch: the position is found, and the prefix table does the rest.
        node[""] = {}
    return root


def _expression(node: Trie) -> str:
    if "" in node:
        return ""
    branches = [re.escape(character) + _expression(following) for character, following in node.items()]
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"
