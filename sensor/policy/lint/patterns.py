"""Patterns in the syntax of shells and of other tools: what stands for itself here."""

from __future__ import annotations

import re
from typing import Final

from sensor.policy.lint import readings
from sensor.policy.lint.findings import Flaw, Suggestion, Value

_DEEP: Final = "/**/"
_BRACKETS: Final = "Brackets are compared as they are: ? is any one character."
_LITERAL: Final = (
    (re.compile(r"\\[*?]"), "Nothing escapes * and ? in a pattern."),
    (re.compile(r"(?:(?<=[\w*?])\[(?!\d+\])[A-Za-z0-9]{2,6}\]|\[[A-Za-z0-9]{2,6}\](?=[*?+]))"), _BRACKETS),
    (re.compile(r"\[(?:[!^]|[^\]/]-[^\]/])[^\]/]*\]"), _BRACKETS),
    (
        re.compile(r"[?*+@!]\([^()/]+\)"),
        "Parentheses are compared as they are: each alternative is a value of its own.",
    ),
)


def pattern_flaw(string: str) -> Flaw | None:
    """Return what a pattern of paths has that means something else elsewhere, None where it has nothing of that."""
    for form, words in _LITERAL:
        if form.search(string):
            return Flaw("warning", words)
    if string.count(_DEEP) != 1:
        return None
    before, _, after = string.partition(_DEEP)
    words = "* passes directories too, and between two / it needs one: elsewhere /**/ stands for none as well."
    return Flaw("warning", words, Suggestion(_without_depth(before, after.lstrip("*"), after.startswith("*"))))


def _without_depth(before: str, after: str, is_open: bool) -> tuple[Value, ...]:  # noqa: FBT001
    """Return the values that mean what `/**/` does elsewhere: any directories between, or none."""
    if is_open:
        return (("matches", f"{before}/*{after}"),)
    directly = f"{before}/{after}"
    operator = "matches" if readings.WILDCARD.search(directly) else "equals"
    return ("matches", f"{before}/*/{after}"), (operator, directly)
