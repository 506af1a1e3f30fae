"""The grammars of names, labels and images: a value is impossible exactly if none of their strings satisfies it."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.policy.globs import Glob
from sensor.policy.lint.languages import GRAMMARS, language
from sensor.policy.lint.rules import value_flaw
from sensor.policy.properties import OPERATORS

ALPHABETS = (
    ("namespace", "a-.", "a-."),
    ("pod_name", "a-.", "a-."),
    ("container_name", "a-_", "a-_"),
    ("pod_labels", "a-/=", "a-/="),
    ("image", "1_:/", "1_/"),
    ("image", "1:/[]", "1:/[]"),
    ("image_with_digest", "1/:@", "1/@"),
)
"""Of a grammar letters of its strings, of which seven are enough to satisfy any two of a value that are possible."""
HOLDS: dict[str, Callable[[str, str], bool]] = {
    "equals": str.__eq__,
    "starts_with": str.startswith,
    "ends_with": str.endswith,
    "contains": str.__contains__,
    "matches": lambda string, pattern: Glob(pattern).holds(string),
}


@pytest.mark.parametrize(("name", "letters", "of_values"), ALPHABETS)
def test_a_value_is_impossible_exactly_if_no_string_satisfies_it(name: str, letters: str, of_values: str) -> None:
    grammar = re.compile(GRAMMARS[name])
    strings = [
        string
        for length in range(1, 8)
        for string in map("".join, product(letters, repeat=length))
        if grammar.fullmatch(string)
    ]
    for value in map("".join, product(f"{of_values}*?", repeat=2)):
        for operator in OPERATORS:
            expected = any(HOLDS[operator](string, value) for string in strings)
            assert language(name).may_satisfy(operator, value) is expected, (operator, value)


def test_the_alphabets_are_of_every_grammar() -> None:
    assert {name for name, _, _ in ALPHABETS} == set(GRAMMARS)


def test_a_letter_that_no_string_has_is_impossible_and_a_wildcard_stands_for_none_of_them() -> None:
    names = language("namespace")
    assert not any(names.may_satisfy(operator, "a%") for operator in OPERATORS)
    assert not names.may_satisfy("matches", "*é*")
    assert names.may_satisfy("matches", "*")


def test_the_longest_value_is_read_in_steps_that_are_remembered() -> None:
    pattern = "a*-?" * 64
    assert language("pod_labels").may_satisfy("matches", pattern)
    assert len(language("pod_labels")._steps) < 1_000


NAMES = {
    "namespace": st.from_regex(GRAMMARS["namespace"], fullmatch=True).filter(lambda name: len(name) <= 63),
    "pod_name": st.from_regex(GRAMMARS["pod_name"], fullmatch=True).filter(lambda name: len(name) <= 253),
    "pod_labels": st.from_regex(GRAMMARS["pod_labels"], fullmatch=True).filter(lambda label: len(label) <= 60),
    "image_name": st.from_regex(GRAMMARS["image"], fullmatch=True).filter(lambda image: len(image) <= 100),
}
_PARTS = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda part: part not in (".", "..")
)
PATHS = st.lists(_PARTS, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
STRINGS = {
    **NAMES,
    "process_path": PATHS,
    "written_by": PATHS,
    "process_name": _PARTS,
    "written_by_name": _PARTS,
    "written_by_parent": _PARTS,
    "parent_process": _PARTS,
}


def values_of(string: str, start: int, end: int) -> dict[str, str]:
    """Return for each operator a value that the string satisfies."""
    start, end = start % (len(string) + 1), end % (len(string) + 1)
    found = {
        "equals": string,
        "starts_with": string[:end],
        "ends_with": string[start:],
        "contains": string[min(start, end) : max(start, end)],
        "matches": f"{string[: min(start, end)]}*{string[max(start, end) :]}",
    }
    return {operator: value for operator, value in found.items() if value}


@settings(max_examples=30)
@given(st.sampled_from(sorted(STRINGS)), st.data(), st.integers(0, 300), st.integers(0, 300))
def test_what_a_real_event_satisfies_is_never_called_impossible(
    name: str, data: st.DataObject, start: int, end: int
) -> None:
    string = data.draw(STRINGS[name])
    for operator, value in values_of(string, start, end).items():
        flaw = value_flaw(name, operator, value)
        assert flaw is None or flaw.level == "warning", (operator, value, flaw)


@settings(max_examples=25)
@given(st.sampled_from(["namespace", "pod_name"]), st.data())
def test_a_name_that_kubernetes_accepts_has_no_finding(name: str, data: st.DataObject) -> None:
    assert value_flaw(name, "equals", data.draw(NAMES[name])) is None
