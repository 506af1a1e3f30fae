from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.policy import canonical_json, digest, normalise
from tests.unit.sensor.policy.strategies import documents
from tests.unit.sensor.policy.test_golden import load

CASES = load("canonical.json")["cases"]
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["why"])
def test_canonical_json_is_that_of_the_corpus(case: Any) -> None:
    value = normalise(case["document"]) if "document" in case else case["value"]
    assert canonical_json(value).decode() == case["canonical"]


@pytest.mark.parametrize("case", [case for case in CASES if "digest" in case], ids=lambda case: case["why"])
def test_digest_is_that_of_the_normalised_document(case: Any) -> None:
    assert digest(case["document"]) == case["digest"]


@given(json_values)
def test_canonical_json_reads_back_as_the_same_value(value: Any) -> None:
    assert json.loads(canonical_json(value), parse_int=float) == value


@given(json_values)
def test_canonical_json_of_what_was_read_back_is_the_same_bytes(value: Any) -> None:
    once = canonical_json(value)
    assert canonical_json(json.loads(once)) == once


@given(st.dictionaries(texts, st.integers(0, 9)), st.randoms())
def test_key_order_of_the_input_does_not_matter(value: dict[str, int], random: Any) -> None:
    items = list(value.items())
    random.shuffle(items)
    assert canonical_json(dict(items)) == canonical_json(value)


@given(st.integers(0, 2**64 - 1))
def test_every_finite_double_round_trips(bits: int) -> None:
    (number,) = struct.unpack("<d", struct.pack("<Q", bits))
    if math.isfinite(number):
        assert float(canonical_json(number)) == number


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, 2**53 + 1, 10**400, "\ud800", {"\udfff": 1}, {1: 2}, (1,), b"x", [object()]]
)
def test_values_outside_json_are_rejected(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical_json(value)


@settings(max_examples=30, deadline=None)
@given(documents(max_rules=2))
def test_digest_ignores_key_order_and_normalising(document: dict[str, Any]) -> None:
    turned = dict(reversed(document.items()))
    turned["rules"] = [dict(reversed(rule.items())) for rule in document["rules"]]
    assert digest(turned) == digest(document) == digest(normalise(document))
