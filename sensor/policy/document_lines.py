"""In which line of a file each part of a policy document stands."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

_WORD: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,\n]|[^\s{}\[\]:,"]+')
_STEP: Final = re.compile(r"\.|(?=\[)")
"""Between the parts of a place."""


class MarkKind(enum.Enum):
    """What a document consists of, whichever its format: a key is the scalar before its value."""

    OBJECT = enum.auto()
    LIST = enum.auto()
    SCALAR = enum.auto()
    END = enum.auto()


class Mark(NamedTuple):
    """The beginning or end of a part, with its line from 1; `text` of a scalar."""

    kind: MarkKind
    line: int
    text: str = ""


class LineFinder:
    """The lines of some places, such as `rules[0].action`."""

    def __init__(self, marks: Iterable[Mark], places: Iterable[str]) -> None:
        wanted = {each for place in places for each in _with_parents(place)}
        self._lines = {"": 1}
        for place, line in _placed(marks):
            if place in wanted:
                self._lines.setdefault(place, line)

    def line(self, place: str) -> int:
        """Return the place's line; of one that is missing, that of what lacks it."""
        return next(self._lines[each] for each in _with_parents(place) if each in self._lines)


def json_marks(text: str) -> Iterator[Mark]:
    """Yield what a valid JSON text consists of."""
    starts = {"{": MarkKind.OBJECT, "[": MarkKind.LIST}
    line = 1
    for word in _WORD.findall(text):
        if word == "\n":
            line += 1
        elif word in starts:
            yield Mark(starts[word], line)
        elif word in {"}", "]"}:
            yield Mark(MarkKind.END, line)
        elif word not in {":", ","}:
            yield Mark(MarkKind.SCALAR, line, json.loads(word) if word[0] == '"' else word)


def _with_parents(place: str) -> Iterator[str]:
    """Yield a place and all that contain it, the innermost first, the document ("") last."""
    yield place
    for step in reversed([*_STEP.finditer(place)]):
        if step.start():
            yield place[: step.start()]
    if place:
        yield ""


def _placed(marks: Iterable[Mark]) -> Iterator[tuple[str, int]]:
    """Yield each part's place and line; of a value in an object the line of its key."""
    # Of each collection that is open: its place, whether it is a list, and the next index or the key before a value.
    places: list[str] = []
    lists: list[bool] = []
    indexes: list[int] = []
    keys: list[Mark | None] = []
    for mark in marks:
        if mark.kind is MarkKind.END:
            for each in (places, lists, indexes, keys):
                each.pop()
            continue
        place, line = "", mark.line
        if places and lists[-1]:
            place = f"{places[-1]}[{indexes[-1]}]"
            indexes[-1] += 1
        elif places:
            key = keys[-1]
            if key is None:
                keys[-1] = mark
                continue
            place, line, keys[-1] = f"{places[-1]}.{key.text}".lstrip("."), key.line, None
        yield place, line
        if mark.kind is not MarkKind.SCALAR:
            places.append(place)
            lists.append(mark.kind is MarkKind.LIST)
            indexes.append(0)
            keys.append(None)
