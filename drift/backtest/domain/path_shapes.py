"""The shape of a path: what stays of it where its names are made up anew each time, as in /tmp/go-build*/b*/exe/app.

A shape is a pattern (docs/policy-semantics.md#patterns) that holds for the path.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

DIGIT: Final = re.compile(r"[0-9]")
TOKEN: Final = re.compile(
    r"""(?<![0-9A-Za-z])(?:
        (?=[A-Fa-f]*[0-9]) (?:[0-9a-f]{5,} | [0-9A-F]{5,}) (?![0-9A-Za-z])  # likely a hexadecimal number
        | ([A-Za-z]+) [0-9]+ (?![0-9A-Za-z])                                # letters, and then digits alone
        | (?=[A-Za-z]*[0-9]) [0-9A-Za-z]+
    )""",
    re.VERBOSE,
)
"""Letters and digits between separators, with at least one digit. The letters that numbers follow are its group.

What a hexadecimal number begins with says nothing.
"""
STARS: Final = re.compile(r"\*{2,}")
MAX_PARTS: Final = 16
"""Names of a directory among otherwise equal paths; with more they are taken for drawn ones."""
MAX_NAMES: Final = 40
"""Names of files in directories of one shape; with more only their ending stays."""


class PathShapes:
    """The shapes of many paths, which are compared with one another."""

    def __init__(self, paths: Iterable[str], known: Mapping[str, str] = MappingProxyType({})) -> None:
        """`known` are shapes of paths by themselves."""
        self._numbered = {path: known.get(path) or numbered_shape(path) for path in set(paths)}
        self._shapes = _compared(set(self._numbered.values()))

    def __getitem__(self, path: str) -> str:
        return self._shapes[self._numbered[path]]

    def numbered(self, path: str) -> str:
        """Return the path's shape by itself."""
        return self._numbered[path]

    def name(self, path: str, name: str) -> str:
        """Return the shape of a file's name, which is the path's last part but for files in memory."""
        last = path.rpartition("/")[2]
        return self._numbered[path].rpartition("/")[2] if last == name else numbered_shape(name)


def numbered_shape(text: str) -> str:
    """Return a path or name with `*` for each part that has digits, but for the letters before them."""
    shape = text if DIGIT.search(text) is None else TOKEN.sub(r"\1*", text)
    return STARS.sub("*", shape) if "**" in shape else shape


def _compared(numbered: Iterable[str]) -> dict[str, str]:
    """Return the shape of each, which has `*` for the directories and names that are drawn."""
    parts = {each: each.split("/") for each in numbered}
    columns: dict[tuple[int, str, str], list[set[str]]] = {}
    for each in parts.values():
        if len(each) > 3:
            key = len(each), each[1], each[-1]
            seen = columns.get(key)
            if seen is None:
                seen = columns[key] = [set() for _ in each[2:-1]]
            for names, name in zip(seen, each[2:-1], strict=True):
                names.add(name)
    drawn = {
        key: [place for place, names in enumerate(seen, 2) if len(names) > MAX_PARTS] for key, seen in columns.items()
    }
    files: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    places: dict[str, tuple[str, str]] = {}
    for text, each in parts.items():
        if len(each) > 3:
            for place in drawn[len(each), each[1], each[-1]]:
                each[place] = "*"
        places[text] = "/".join(each[:-1]), _ending(each[-1])
        files[places[text]].add(each[-1])
    shapes = {}
    for text, each in parts.items():
        directory, ending = places[text]
        name = f"*{ending}" if len(files[directory, ending]) > MAX_NAMES else each[-1]
        shapes[text] = STARS.sub("*", f"{directory}/{name}" if len(each) > 1 else name)
    return shapes


def _ending(name: str) -> str:
    """Return a file name's last extension with its dot; "" without one."""
    _, dot, ending = name.rpartition(".")
    return f".{ending}" if dot and "*" not in ending else ""
