"""Whether any string of a grammar satisfies a value: exact, in time linear in the value.

A grammar is a regular expression of literals, classes, groups, `|`, `*`, `+` and `?`. It becomes an automaton of the
places in the expression (Glushkov); a value is run through it with all places that it may have reached, as a set of
bits. Steps are remembered, so that many values cost a look-up per character.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from sensor.policy.globs import ANY, ONE

_PIECES: Final = re.compile(r"\\.|\[(?:\\.|[^\]])+\]|[()|*+?]|.")
_RANGES: Final = re.compile(r"\\(.)|(.)-(.)|(.)")
_OTHER: Final = "\0"
"""Stands for all characters that no class has."""
_MARKS: Final = ("*", "+", "?")
_OPEN: Final = {"equals": (False, False), "starts_with": (False, True), "ends_with": (True, False)}
"""Whether anything may stand before the value, and behind it."""


class Language:
    """The strings of a grammar, such as `[a-z]([a-z-]*[a-z])?`."""

    def __init__(self, grammar: str) -> None:
        self._classes: list[frozenset[str]] = [frozenset()]
        self._follow: list[int] = [0]
        parts = _Parser(grammar, self._classes, self._follow).whole()
        self._follow[0] = parts.first
        self._ends = parts.last | int(parts.nullable)
        self._reach = self._reachable()
        self._places: dict[str, int] = {_OTHER: 0}
        for place, letters in enumerate(self._classes):
            for letter in letters:
                self._places[letter] = self._places.get(letter, 0) | 1 << place
        self._steps: dict[tuple[int, str], int] = {}

    def may_satisfy(self, operator: str, value: str) -> bool:
        """Return whether some string of the grammar satisfies the value with this operator."""
        before, behind = _OPEN.get(operator, (operator == "contains", operator == "contains"))
        at = self._step(1, ANY) if before else 1
        is_pattern = operator == "matches"
        for letter in value:
            if is_pattern and letter in (ANY, ONE):
                at = self._step(at, letter)
            else:
                at = self._step(at, f"={letter if letter in self._places else _OTHER}")
            if not at:
                return False
        return bool((self._step(at, ANY) if behind else at) & self._ends)

    def _step(self, at: int, letter: str) -> int:
        """Return the places after one more letter (`=x`), any one (`?`), or any number of them (`*`)."""
        found = self._steps.get((at, letter))
        if found is None:
            found = 0
            for place in _bits(at):
                found |= self._reach[place] if letter == ANY else self._follow[place]
            if letter not in (ANY, ONE):
                found &= self._places[letter[1]]
            self._steps[at, letter] = found
        return found

    def _reachable(self) -> list[int]:
        reach = [follow | 1 << place for place, follow in enumerate(self._follow)]
        for middle in range(len(reach)):
            reach = [each | reach[middle] if each >> middle & 1 else each for each in reach]
        return reach


class _Part:
    """A part of an expression: whether it may be empty, and the places where it may begin and end."""

    __slots__ = ("first", "last", "nullable")

    def __init__(self, first: int, last: int, *, nullable: bool) -> None:
        self.first, self.last, self.nullable = first, last, nullable


class _Parser:
    def __init__(self, grammar: str, classes: list[frozenset[str]], follow: list[int]) -> None:
        self._pieces = _PIECES.findall(grammar)
        self._at = 0
        self._classes, self._follow = classes, follow

    def whole(self) -> _Part:
        found = self._sequence()
        while self._peek() == "|":
            self._at += 1
            other = self._sequence()
            found = _Part(found.first | other.first, found.last | other.last, nullable=found.nullable or other.nullable)
        return found

    def _peek(self) -> str:
        return self._pieces[self._at] if self._at < len(self._pieces) else ""

    def _sequence(self) -> _Part:
        found = _Part(0, 0, nullable=True)
        while self._peek() not in ("", "|", ")"):
            part = self._repeated()
            self._link(found.last, part.first)
            found = _Part(
                found.first | (part.first if found.nullable else 0),
                part.last | (found.last if part.nullable else 0),
                nullable=found.nullable and part.nullable,
            )
        return found

    def _repeated(self) -> _Part:
        found = self._single()
        mark = self._peek()
        if mark in _MARKS:
            self._at += 1
            if mark != "?":
                self._link(found.last, found.first)
            found = _Part(found.first, found.last, nullable=found.nullable or mark != "+")
        return found

    def _single(self) -> _Part:
        piece = self._peek()
        self._at += 1
        if piece == "(":
            found = self.whole()
            self._at += 1
            return found
        self._classes.append(_class(piece))
        self._follow.append(0)
        place = 1 << len(self._classes) - 1
        return _Part(place, place, nullable=False)

    def _link(self, before: int, behind: int) -> None:
        for place in _bits(before):
            self._follow[place] |= behind


def _class(piece: str) -> frozenset[str]:
    if not piece.startswith("["):
        return frozenset(piece[-1])
    found: set[str] = set()
    for escaped, low, high, alone in _RANGES.findall(piece[1:-1]):
        found.update(map(chr, range(ord(low), ord(high) + 1)) if low else escaped or alone)
    return frozenset(found)


def _bits(mask: int) -> list[int]:
    return [place for place in range(mask.bit_length()) if mask >> place & 1]


_NAME: Final = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_DOMAIN: Final = rf"{_NAME}(\.{_NAME})*"
_LABEL_NAME: Final = r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?"
_HOST: Final = rf"({_DOMAIN}\.?|\[[0-9a-f.]*:[0-9a-f:.]*\])(:[0-9]+)?"
_PART: Final = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_IMAGE: Final = rf"({_HOST}/)?{_PART}(/{_PART})*(:[a-z0-9_][a-z0-9_.-]*)?"
_ALGORITHM: Final = r"[a-z0-9]+([+._-][a-z0-9]+)*"
GRAMMARS: Final = {
    "namespace": _NAME,
    "pod_name": _DOMAIN,
    # Docker's and podman's may end with a sign; Kubernetes' are among them.
    "container_name": r"[a-z0-9][a-z0-9._-]*",
    "pod_labels": rf"({_DOMAIN}/)?{_LABEL_NAME}=({_LABEL_NAME})?",
    "image": _IMAGE,
    "image_with_digest": rf"{_IMAGE}@{_ALGORITHM}:[0-9a-f]+",
}
"""Names of Kubernetes (RFC 1123), labels, and image references (github.com/distribution/reference), all folded."""


@cache
def language(name: str) -> Language:
    """Return the language of one of the GRAMMARS."""
    return Language(GRAMMARS[name])
