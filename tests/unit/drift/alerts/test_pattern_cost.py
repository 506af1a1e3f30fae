"""No argv makes the patterns slow: each is tried on its own words, many times and among each other."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from re import _constants, _parser  # no other parser knows what a pattern consists of
from typing import Any

from drift.alerts.domain.argv_patterns import MAX_CHARACTERS, PATTERNS, argv_signals

LONG = 40
"""A repeat of so many characters or more may be tried at each place of a line."""
SECONDS = 0.25
"""Of the processor, for one line: ten times what the slowest takes."""
SLOW = [
    "curl " * 400 + "|/" * 1040 + "  x",
    "://a.aa-" * 500,
    "://" + "a." * 2_000,
    "://a@" * 1_000,
    "://a" + "-a" * 2_000,
    "a" * MAX_CHARACTERS,
    "python -a " * 400,
    "\\\\$ifs  " * 500,
    "sh " + "-a " * 1_400,
    "x=$(curl " * 500,
    "echo `curl $(" * 400,
    'export x="' + " ".join(f"{n:x}=" for n in range(500)) + " $(x curl)" * 200,
    " ".join(f"f{n:x}(" for n in range(400)) + " curl" * 400,
    "curl $x" + "(<)" * 1_300,
    "curl > " + ' <<<"' * 900,
]


def literals(pattern: Any, before: str = "") -> Iterator[str]:
    """Yield the runs of characters of a parsed pattern."""
    for operator, value in pattern:
        if operator is _constants.LITERAL:
            before += chr(value)
            continue
        if before:
            yield before
            before = ""
        for part in parts(operator, value):
            yield from literals(part)
    if before:
        yield before


def parts(operator: Any, value: Any) -> Iterable[Any]:
    if operator is _constants.BRANCH:
        return list(value[1])
    if operator in (_constants.SUBPATTERN, _constants.ASSERT, _constants.ASSERT_NOT):
        return [value[-1]]
    return [value[2]] if operator in (_constants.MAX_REPEAT, _constants.MIN_REPEAT) else []


def has_long_repeat(pattern: Any) -> bool:
    repeats = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)
    return any(
        (operator in repeats and value[1] >= LONG) or any(map(has_long_repeat, parts(operator, value)))
        for operator, value in pattern
    )


def made_of(pattern: str | tuple[str, str]) -> Iterator[str]:
    """Yield lines that are full of the pattern's beginning and then of its other words and marks."""
    texts = [pattern] if isinstance(pattern, str) else list(pattern)
    parsed = [_parser.parse(text) for text in texts]
    runs = list(dict.fromkeys(run for each in parsed for run in literals(each)))
    if not runs or (len(parsed) == 1 and not has_long_repeat(parsed[0])):
        return
    first, *others = runs
    marks = "".join(dict.fromkeys(re.sub(r"[\w ]", "", "".join(literals(parsed[-1])))))[:2]
    for other in dict.fromkeys([*others[-1:], marks or "/"]):
        half = MAX_CHARACTERS // 2
        yield f"{first.strip()} " * (half // (len(first.strip()) + 1)) + (other * half)[: half - 3] + "  x"


def test_no_argv_is_slow() -> None:
    lines = [line for patterns in PATTERNS.values() for pattern in patterns for line in made_of(pattern)]

    assert len(lines) > len(PATTERNS)
    for line in [*SLOW, *lines]:
        begun = time.process_time()
        argv_signals([line])
        assert time.process_time() - begun < SECONDS, line


def test_a_line_that_each_rule_asks_for_is_searched_once() -> None:
    argv_signals(["curl " * 800])
    begun = time.process_time()
    for _ in range(1_000):
        argv_signals(["curl " * 800])
    assert time.process_time() - begun < SECONDS
