"""The shape of a path: what stays of it where its names are made up anew each time, as in /tmp/go-build*/b*/exe/app.

A shape is a pattern (docs/policy-semantics.md#patterns) that holds for the path.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import Final

TOKEN: Final = re.compile(r"[0-9A-Za-z]*[0-9][0-9A-Za-z]*")
"""Letters and digits between separators, with at least one digit."""
NUMBERED: Final = re.compile(r"([A-Za-z]+)[0-9]+")
MAX_PARTS: Final = 16
"""Names of a directory among otherwise equal paths; with more they are taken for drawn ones."""
MAX_NAMES: Final = 40
"""Names of files in directories of one shape; with more only their ending stays."""


class PathShapes:
    """The shapes of many paths, which are compared with one another."""

    def __init__(self, paths: Iterable[str]) -> None:
        parts = {path: numbered_shape(path).split("/") for path in sorted(set(paths))}
        seen: defaultdict[Hashable, set[str]] = defaultdict(set)
        for each in parts.values():
            for place in range(2, len(each) - 1):
                seen[len(each), each[1], each[-1], place] |= {each[place]}
        names: defaultdict[Hashable, set[str]] = defaultdict(set)
        for each in parts.values():
            for place in range(2, len(each) - 1):
                if len(seen[len(each), each[1], each[-1], place]) > MAX_PARTS:
                    each[place] = "*"
            names["/".join(each[:-1]), _ending(each[-1])] |= {each[-1]}
        self._shapes: dict[str, str] = {}
        for path, each in parts.items():
            folder, ending = "/".join(each[:-1]), _ending(each[-1])
            name = f"*{ending}" if len(names[folder, ending]) > MAX_NAMES else each[-1]
            self._shapes[path] = re.sub(r"\*+", "*", f"{folder}/{name}" if len(each) > 1 else name)

    def __getitem__(self, path: str) -> str:
        return self._shapes[path]


def numbered_shape(text: str) -> str:
    """Return a path or name with `*` for each part that has digits, but for the letters before them."""
    return re.sub(r"\*+", "*", TOKEN.sub(_token_shape, text))


def _token_shape(token: re.Match[str]) -> str:
    numbered = NUMBERED.fullmatch(token[0])
    return f"{numbered[1]}*" if numbered else "*"


def _ending(name: str) -> str:
    """Return a file name's last extension with its dot; "" without one."""
    _, dot, ending = name.rpartition(".")
    return f".{ending}" if dot and "*" not in ending else ""
