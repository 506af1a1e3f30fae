"""Lists of files that were pasted as one value: lines, quoted lists, and alternatives in braces or parentheses."""

from __future__ import annotations

import re
from itertools import product
from math import prod
from typing import Final

from sensor.policy.lint import readings

_BRACES: Final = re.compile(r"\{([^{},]*,[^{}]*)\}")
_GROUPS: Final = re.compile(r"\((?:\?:)?([^()|]*\|[^()]*)\)(?![*+?{])")
_MOST_ALTERNATIVES: Final = 16


def split_files(string: str) -> list[str]:
    """Return the files of a list that was pasted as one; the string alone where it may be one file's name."""
    string = readings.compact(string)
    lines = [line.strip() for line in re.split(r"[\r\n]+", string) if line.strip()]
    bare = re.fullmatch(r"\[(.*)\]|\((.*,.*)\)", string)
    either = re.split(r"\s+(?:or|OR|\|\|)\s+", string)
    if len(lines) > 1:
        parts = lines
    elif bare and re.fullmatch(r"""\s*(["']?)[^"',]+\1(?:\s*,\s*(["']?)[^"',]+\2)*\s*""", bare[1] or bare[2] or ""):
        parts = [string] if bare[1] and not re.search("[\"',]", bare[1]) else _unquoted_parts(bare[1] or bare[2])
    elif len(either) > 1 and all(_is_one(each, first=either[0]) for each in either):
        parts = either
    elif braces := _alternatives(string):
        parts = braces
    elif string.startswith("/"):
        parts = re.split(r"\s*[,;|:]\s*(?=/)", string)
    elif re.fullmatch(r"[\w.+-]+(?:\s*[,;|]\s*[\w.+-]+)+", string) and not re.search(r",v$", string):
        parts = re.split(r"\s*[,;|]\s*", string)
    else:
        parts = [string]
    return [each for each in dict.fromkeys(parts) if each] or [string]


def _alternatives(string: str) -> list[str]:
    """Return what a string with braces stands for, as in a shell or AppArmor, or with a group of a
    regular expression; nothing where it has none, or many."""
    form, separator = (_BRACES, ",") if _BRACES.search(string) else (_GROUPS, "|")
    pieces = form.split(string)
    groups = [
        [one.strip() for one in each.split(separator)] if place % 2 else [each] for place, each in enumerate(pieces)
    ]
    is_bounded = 1 < prod(map(len, groups)) <= _MOST_ALTERNATIVES
    if not is_bounded or any(re.search(r"[{}|]", each) for each in pieces[::2]):
        return []
    return ["".join(parts) for parts in product(*groups)]


def _is_one(part: str, *, first: str) -> bool:
    """Return whether this is one alternative of several, of the form that the first has."""
    return re.fullmatch(r"""\S+|.*["']""", part) is not None and part.startswith("/") == first.startswith("/")


def _unquoted_parts(string: str) -> list[str]:
    return [readings.strip_quotes(each.strip()) for each in string.split(",")]
