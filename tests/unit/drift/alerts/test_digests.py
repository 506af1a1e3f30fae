"""Digests stay what they were: every release must compute the same values, because they are stored."""

from __future__ import annotations

import hashlib
import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.alerts.domain.fingerprints import digest

TEXT = st.text(st.characters(codec=None))  # with halves of surrogate pairs, which no database takes
FACTS = st.recursive(
    TEXT | st.integers(-(2**63), 2**63) | st.none() | st.booleans(),
    lambda facts: st.lists(facts, max_size=3) | st.tuples(facts, facts),
    max_leaves=6,
)


def _by_json(*facts: object) -> uuid.UUID:
    written = json.dumps(facts, ensure_ascii=True, separators=(",", ":"))
    return uuid.UUID(bytes=hashlib.sha256(written.encode()).digest()[:16])


@given(st.lists(FACTS, max_size=4))
def test_a_digest_is_that_of_the_facts_as_json_in_ascii(facts: list[object]) -> None:
    assert digest(*facts) == _by_json(*facts)


@pytest.mark.parametrize(
    "text", ["", "/usr/bin/x", 'a"b', "a\\b", "a/b", "\x7f", "\n", "\x00", "ä", "\u2028", "\ud800", "😀"]
)
def test_whatever_is_in_a_path_its_digest_is_that_of_json(text: str) -> None:
    assert digest("drift", (1, text), [text]) == _by_json("drift", (1, text), [text])
