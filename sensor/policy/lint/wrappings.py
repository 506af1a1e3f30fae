"""What other languages put around a string: literals, marks of a text, operators. For what may have any letters."""

from __future__ import annotations

import re
from typing import Final

from sensor.policy.lint import expressions

_MARKS: Final = (
    re.compile(r"""(?:[NEBRUbrfu]{1,2}|[@$])(["'])(?P<inner>.+)\1"""),
    re.compile(r"""\[\s*(["'])(?P<inner>[^"',]+)\1\s*\]"""),
    re.compile(r"""\{\s*(["'])[\w.-]+\1\s*:\s*(["'])(?P<inner>[^"']+)\2\s*\}"""),
    re.compile(r"<!\[CDATA\[(?P<inner>.+)\]\]>"),
    re.compile(r"<([a-z]+)>(?P<inner>[^<>]+)</\1>"),
    re.compile(r"\[(?P<inner>[^\]]+)\]\((?:https?:|[/#.])[^()]*\)"),
    re.compile(r"~~(?P<inner>.+)~~"),
    re.compile(r"\|\s+(?P<inner>[^|]+?)\s+\|"),
    re.compile(r"\d{1,3}[.)]\s+(?P<inner>[\w./].*)"),
    re.compile(r"\\(?!x[0-9A-Fa-f]{2})(?P<inner>[A-Za-z/][\w./-]*)"),
)
"""Of C#, Python, SQL, JSON, XML, HTML and Markdown; and the backslash with which a shell passes by an alias.

The sensor writes bytes that are not UTF-8 as `\\xff`: those stay."""
_OPERATORS: Final = (
    re.compile(r"(?:===?|=~|:=|=)\s*(?P<inner>\S.*)", re.S),
    re.compile(r"--?[A-Za-z][\w-]*(?:=|\s+)(?P<inner>[\w./].*)", re.S),
    re.compile(
        r"""-?\s*(?P<quote>["']?)(?:values?|allowe?d?|item|entry|exact|executables?)(?P=quote)\s*[:=]\s*(?P<inner>\S.*)""",
        re.S,
    ),
    re.compile(r"-?\s*[\w.-]+:\s+(?P<inner>/.*)", re.S),
)
_SHOWS: Final = re.compile(
    r"(?:which|whereis|type|ls|file|stat|ldd|killall|pkill|pgrep|sha256sum|md5sum)\s+(?P<inner>[\w./+-]+)"
)


def strip_marks(string: str) -> tuple[str, str] | None:
    """Marks around it."""
    return _inner(_MARKS, string, "Marks of another language are part of the value here.")


def strip_operators(string: str) -> tuple[str, str] | None:
    """An operator, option or key before it, or a comparison around it."""
    if called := expressions.unfold_call(string):
        return called
    return _inner(_OPERATORS, string, "What compares or names a value is part of it here.")


def strip_command(string: str) -> tuple[str, str] | None:
    """A command that only shows the file which it names."""
    return _inner((_SHOWS,), string, "A command is not part of a name.")


def _inner(forms: tuple[re.Pattern[str], ...], string: str, words: str) -> tuple[str, str] | None:
    found = next(filter(None, (form.fullmatch(string) for form in forms)), None)
    return (found["inner"], words) if found else None
