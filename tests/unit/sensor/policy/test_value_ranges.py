"""A condition evaluated for a range of strings has that result for each of them."""

from __future__ import annotations

import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.policy.value_ranges import NearValues, ValueRange, characters
from tests.unit.sensor.policy.naive import OPERATORS as HOLDS

OPERATORS = ("starts_with", "ends_with", "equals", "contains", "matches")
texts = st.text("abß-İΐ", max_size=6)
plain = st.text("ab-", max_size=6)


def name_range(names: list[str]) -> ValueRange:
    return ValueRange.between(min(names), max(names), max(len(name.encode()) for name in names))


def holds(name: str, operator: str, value: str) -> bool:
    return HOLDS[operator](name.casefold(), value)


@settings(max_examples=600, deadline=None)
@given(
    st.one_of(plain, texts),
    st.lists(st.one_of(plain, texts), min_size=1, max_size=4),
    st.lists(st.tuples(st.sampled_from(OPERATORS), st.text("ab-ßs*?", min_size=1, max_size=4)), min_size=1, max_size=3),
)
def test_the_result_for_a_range_is_the_result_for_each_of_its_strings(
    start: str, ends: list[str], compared: list[tuple[str, str]]
) -> None:
    names = [start + end for end in ends]
    values = [(operator, value.casefold()) for operator, value in compared]
    answer = name_range(names).evaluate(values)
    if answer is not None:
        assert {any(holds(name, *value) for value in values) for name in names} == {answer}


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(plain, texts),
    st.lists(st.one_of(plain, texts, st.text("ab", min_size=15, max_size=40)), min_size=1, max_size=4),
    st.lists(st.tuples(st.sampled_from(OPERATORS), st.text("ab-ßs*?", min_size=1, max_size=24)), max_size=8),
)
def test_a_rule_that_is_far_from_a_range_holds_for_none_of_its_strings(
    start: str, ends: list[str], compared: list[tuple[str, str]]
) -> None:
    names = [start + end for end in ends]
    values = [(operator, value.casefold()) for operator, value in compared]
    near = NearValues((*value, 1 << rule) for rule, value in enumerate(values)).rules(name_range(names))
    for rule, value in enumerate(values):
        assert near >> rule & 1 or not any(holds(name, *value) for name in names)


def test_folding_makes_no_more_characters_than_a_range_allows_for() -> None:
    for letter in map(chr, [*range(0xD800), *range(0xE000, sys.maxunicode + 1)]):
        folded, size = letter.casefold(), len(letter.encode())
        if folded != letter:
            assert sum(map(str.isascii, folded)) <= characters(size, "a")
            assert len(folded) <= characters(size, "ä")


def test_most_rules_are_far_from_a_range() -> None:
    values = [
        ("starts_with", "shop-"),
        ("equals", "carts"),
        ("contains", "-worker-"),
        ("ends_with", "-0"),
        ("matches", "d*"),
    ]
    near = NearValues((*value, 1 << rule) for rule, value in enumerate(values))
    assert near.rules(name_range(["cart-7d9f-0abcd", "cart-7d9f-xyz12"])) == 0b01000
    assert near.rules(name_range(["db-0", "db-17"])) == 0b11000


def test_names_with_a_common_prefix_are_decided_by_the_prefix() -> None:
    pods = name_range(["cart-7d9f-0abcd", "cart-7d9f-xyz12", "cart-7d9f-m0000"])
    assert pods.evaluate([("starts_with", "cart-")]) is True
    assert pods.evaluate([("contains", "7d9f")]) is True
    assert pods.evaluate([("starts_with", "cart-8"), ("equals", "cart"), ("ends_with", "-server")]) is False
    assert pods.evaluate([("contains", "-worker-")]) is False


def test_a_condition_on_their_differing_part_is_left_open() -> None:
    pods = name_range(["db-0", "db-17"])
    assert pods.evaluate([("equals", "db-0")]) is None
    assert pods.evaluate([("ends_with", "-0")]) is None
    assert pods.evaluate([("contains", "b-1")]) is None
    assert pods.evaluate([("equals", "db-0"), ("starts_with", "db")]) is True


def test_a_single_name_leaves_no_condition_open() -> None:
    pods = name_range(["db-0", "db-0"])
    assert [pods.evaluate([(operator, "db-0")]) for operator in OPERATORS] == [True] * 5
    assert [pods.evaluate([(operator, "b-")]) for operator in OPERATORS] == [False, False, False, True, False]


def test_a_pattern_is_decided_by_the_prefix_where_no_name_can_differ() -> None:
    pods = name_range(["cart-7d9f-0abcd", "cart-7d9f-xyz12"])
    assert pods.evaluate([("matches", "cart-*")]) is True
    assert pods.evaluate([("matches", "c?rt-*-*")]) is True
    assert pods.evaluate([("matches", "shop-*"), ("matches", "cart-8*"), ("matches", "cart-????")]) is False
    assert pods.evaluate([("matches", "*" + "?" * 18)]) is False
    assert pods.evaluate([("matches", "cart-*-0*")]) is None
