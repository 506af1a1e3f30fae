"""The query line: filters and a search string as one line that people type, such as `status:active writer:curl xmrig`.

    line    = [item *(space item)]
    item    = name ":" value *("," value) | text
    text    = word | quoted
    value   = bare | quoted
    quoted  = <">, with the escapes \\n \\t \\r \\" \\\\ \\xNN \\uNNNN \\UNNNNNNNN, <">

A word begins with no filter's name and colon, and has no quotation mark; a bare value has no space, comma or quotation
mark. Texts are joined by a space to one search string; values of one name are added up. `print_line` and `parse_line`
are each other's inverse.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from drift.alerts.domain.filter_values import value_error
from drift.alerts.domain.filters import ANY, LABELS, MAX_SEARCH, MAX_VALUE, MAX_VALUES, Filters
from sensor.names.visible_text import hidden_character, visible_text

MAX_LINE: Final = 4_000
"""Characters of a line."""
SHOWN: Final = 40
"""Characters of a value that a message repeats."""
_SPACE: Final = re.compile(r"\s*")
_NAME: Final = re.compile(r"(-?[A-Za-z_]+):")
_BARE: Final = re.compile(r'[^\s",]*')
_WORD: Final = re.compile(r'[^\s"]+')
_ESCAPE: Final = re.compile(r'\\(?:([ntr"\\])|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8}))')
_SHORT: Final = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


class QueryLineError(ValueError):
    """A line that is not a query. `position`: of the first character that is wrong, from 0."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"{message} (at character {position + 1})")
        self.position = position


@dataclass(frozen=True)
class Piece:
    """A text or a value in the line, from `start` to `end`. `text`: without quotation marks and escapes."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Item:
    """A filter and its values, or with an empty name a text."""

    name: str
    start: int
    pieces: list[Piece]


@dataclass(frozen=True)
class CompletionPoint:
    """What is typed before the caret: of a value, the name of its filter, else of a name or a text.

    A completion replaces the line from `start` to `end`.
    """

    name: str | None
    typed: str
    start: int
    end: int


def parse_line(line: str) -> Filters:
    """Return the filters of a line. Raises QueryLineError."""
    if len(line) > MAX_LINE:
        raise QueryLineError(f"A query has at most {MAX_LINE:,} characters.", MAX_LINE)
    if hidden := hidden_character(line, several_lines=True):
        raise QueryLineError(f"{hidden[1]} would not be seen: write it as an escape in quotation marks.", hidden[0])
    texts: list[str] = []
    values: dict[str, list[str]] = {}
    for item in _items(line):
        for piece in item.pieces:
            if item.name:
                _add_value(values.setdefault(item.name, []), item.name, piece)
            elif text := piece.text.strip():
                texts.append(text)
            if len(" ".join(texts)) > MAX_SEARCH:
                raise QueryLineError(f"A search has at most {MAX_SEARCH} characters.", piece.start)
    if ANY in values.get("status", ()):
        values["status"] = [ANY]
    return Filters(" ".join(texts), {name: tuple(many) for name, many in values.items()})


def _add_value(values: list[str], name: str, piece: Piece) -> None:
    if len(piece.text) > MAX_VALUE:
        raise QueryLineError(f"A value has at most {MAX_VALUE:,} characters.", piece.start)
    if piece.start == piece.end:
        raise QueryLineError(f'{name} needs a value; "" is an empty one.', piece.start)
    if error := value_message(name, piece.text):
        raise QueryLineError(error, piece.start)
    if piece.text not in values:
        if len(values) == MAX_VALUES:
            raise QueryLineError(f"A filter has at most {MAX_VALUES} values.", piece.start)
        values.append(piece.text)


def value_message(name: str, value: str) -> str | None:
    """Return the sentence that says what a filter's values are, where `value` is not one."""
    expected = value_error(name, value)
    return f"“{visible_text(value[:SHOWN])}” is not a value of {name}: enter {expected}." if expected else None


def name_message(name: str) -> str | None:
    """Return the sentence that says that there is no filter of this name, where there is none."""
    if name in LABELS:
        return None
    similar = difflib.get_close_matches(name, LABELS, 1)
    hint = f" Did you mean {similar[0]}?" if similar else " Put a text with a colon in quotation marks."
    return f"There is no filter “{visible_text(name[:SHOWN])}”.{hint}"


def print_line(filters: Filters) -> str:
    """Return the line of the filters: every filter, then the search string."""
    items = [f"{name}:{','.join(map(_printed_value, many))}" for name, many in filters.values.items() if many]
    return " ".join([*items, *([_printed_text(filters.q)] if filters.q else [])])


def _printed_value(value: str) -> str:
    return value if value and _BARE.fullmatch(value) and visible_text(value) == value else _quoted(value)


def _printed_text(text: str) -> str:
    words = text.split(" ")
    is_plain = all(_WORD.fullmatch(word) and not _NAME.match(word) for word in words) and visible_text(text) == text
    return text if is_plain else _quoted(text)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace('"', r"\"")
    return f'"{visible_text(escaped)}"'


def completion_point(line: str, caret: int) -> CompletionPoint | None:
    """Return what is typed before the caret; None where the line before it is not the beginning of a query."""
    before = line[: min(caret, MAX_LINE)]
    try:
        items = list(_items(before, is_open=True))
    except QueryLineError:
        return None
    piece = items[-1].pieces[-1] if items else None
    if piece is None or piece.end < len(before):  # behind a space
        return CompletionPoint(None, "", len(before), len(before))
    rest = _BARE.match(line, len(before))
    end = rest.end() if rest else len(before)
    if end < len(line) and line[end] == '"' and before[piece.start : piece.start + 1] == '"':
        end += 1
    return CompletionPoint(items[-1].name or None, piece.text, piece.start, end)


def completed_value(value: str) -> str:
    """Return a value as the line has it."""
    return _printed_value(value)


def _items(line: str, *, is_open: bool = False) -> Iterator[Item]:
    """Yield the items of a line; with `is_open`, of the beginning of one, whose last quotation may be open."""
    place = _after(_SPACE, line, 0)
    while place < len(line):
        start, named = place, _NAME.match(line, place)
        if named:
            _check_name(named[1], start)
            place, pieces = named.end(), []
            while True:
                pieces.append(_piece(_BARE, line, place, is_open=is_open))
                place = pieces[-1].end
                if line[place : place + 1] != ",":
                    break
                place += 1
            yield Item(named[1].lower(), start, pieces)
        else:
            piece = _piece(_WORD, line, place, is_open=is_open)
            place = piece.end
            yield Item("", start, [piece])
        if place < len(line) and not line[place].isspace():
            raise QueryLineError("A quotation mark stands before and behind a whole text or value.", place)
        place = _after(_SPACE, line, place)


def _check_name(name: str, start: int) -> None:
    if name.startswith("-"):
        raise QueryLineError("A filter cannot be negated.", start)
    if error := name_message(name.lower()):
        raise QueryLineError(error, start)


def _after(pattern: re.Pattern[str], line: str, place: int) -> int:
    found = pattern.match(line, place)
    return found.end() if found else place


def _piece(bare: re.Pattern[str], line: str, start: int, *, is_open: bool) -> Piece:
    if line[start : start + 1] != '"':
        end = _after(bare, line, start)
        if "\0" in line[start:end]:
            raise QueryLineError("NUL characters are not allowed.", line.index("\0", start))
        return Piece(line[start:end], start, end)
    parts: list[str] = []
    place = start + 1
    while place < len(line) and line[place] != '"':
        if line[place] == "\\":
            found = _ESCAPE.match(line, place)
            parts.append(_unescaped(found, place))
            place = found.end() if found else place + 1
        else:
            parts.append(line[place])
            place += 1
    if place < len(line):
        place += 1
    elif not is_open:
        raise QueryLineError("A quotation mark is missing.", start)
    text = "".join(parts)
    if "\0" in text:
        raise QueryLineError("NUL characters are not allowed.", start)
    return Piece(text, start, place)


def _unescaped(found: re.Match[str] | None, place: int) -> str:
    if found is None:
        raise QueryLineError(r"A backslash begins an escape: write \\ for one backslash.", place)
    if found[1]:
        return _SHORT[found[1]]
    code = int(found[2] or found[3] or found[4], 16)
    if 0xD800 <= code < 0xE000 or code > 0x10FFFF:
        raise QueryLineError("This escape is not a character.", place)
    return chr(code)
