"""Which addresses are one person's."""

from __future__ import annotations

import pytest

from accounts.addresses import is_same_address


@pytest.mark.parametrize(
    ("one", "other"), [("Ann@Example.com", "ann@example.COM"), ("jörg@example.com", "Jörg@example.com")]
)
def test_capitals_make_no_other_address(one: str, other: str) -> None:
    assert is_same_address(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("k@example.com", "\u212a@example.com"),
        ("s@example.com", "\u017f@example.com"),
        ("i@example.com", "\u0131@example.com"),
        ("i@example.com", "\u0130@example.com"),
        ("ss@example.com", "\u00df@example.com"),
        ("\u00e4k@example.com", "\u00e4\u212a@example.com"),
        ("a@example.com", "a@example.com "),
    ],
)
def test_a_letter_that_only_looks_the_same_makes_another(one: str, other: str) -> None:
    assert not is_same_address(one, other)
