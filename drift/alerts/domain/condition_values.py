r"""The values of a suppression rule's condition as lines that people type: one value a line.

A value that a line cannot hold, or that would not be seen as it is, such as a command line of several lines, is
written as Bash does: `$'sh\n-c'`, with the escapes `\n \t \r \' \\ \xNN \uNNNN \UNNNNNNNN`. `printed_value` and
`read_value` are each other's inverse.
"""

from __future__ import annotations

import re
from typing import Final

from sensor.names.visible_text import visible_text

_QUOTED: Final = re.compile(r"\$'((?:[^'\\]|\\.)*)'")
_ESCAPE: Final = re.compile(r"\\(?:([ntr'\\])|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8}))?")
_SHORT: Final = {"n": "\n", "t": "\t", "r": "\r", "'": "'", "\\": "\\"}


def printed_value(value: str) -> str:
    """Return the line that holds a value."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    visible = visible_text(escaped)
    is_plain = visible == escaped and value == value.strip() and read_value(value) == value
    return value if is_plain else f"$'{visible}'"


def read_value(line: str) -> str:
    """Return the value that a line holds: what is not quoted, or has an escape that is none, as it is."""
    found = _QUOTED.fullmatch(line)
    if found is None:
        return line
    try:
        return _ESCAPE.sub(_character, found[1])
    except ValueError:
        return line


def _character(found: re.Match[str]) -> str:
    short, *digits = found.groups()
    if short:
        return _SHORT[short]
    number = int(next(filter(None, digits), ""), 16)
    if number == 0 or 0xD800 <= number < 0xE000:
        raise ValueError("neither PostgreSQL nor UTF-8 has this character")
    return chr(number)
