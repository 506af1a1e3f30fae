"""Edits of a document and their properties."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.policy.domain import edits
from drift.policy.errors import DocumentInvalid, OrderMismatch, UnknownRule
from sensor.policy import LIMITS
from tests.unit.drift.policy.samples import document, rule

names = st.lists(st.integers(0, 30).map("Rule {}".format), unique=True, max_size=12)


def order_of(changed: dict[str, Any]) -> list[str]:
    return [each["name"] for each in changed["rules"]]


def ids_of(changed: dict[str, Any]) -> list[str]:
    return [each["id"] for each in changed["rules"]]


def test_the_document_that_apply_makes_has_the_rule_in_its_place() -> None:
    rule_id, changed = edits.with_rule(document("A", "B"), {**rule("A"), "name": "C"})
    assert (rule_id, order_of(changed)) == ("a", ["C", "B"])
    rule_id, grown = edits.with_rule(document("A"), {**rule("New"), "id": ""})
    assert (grown["rules"][-1]["id"], order_of(grown)) == (rule_id, ["A", "New"])
    with pytest.raises(UnknownRule):
        edits.with_rule(document("A"), rule("Gone"))


def test_a_new_rule_goes_directly_above_the_default_rule() -> None:
    assert order_of(edits.add_rule(rule("C"))(document("A", "B"))) == ["A", "B", "C"]


def test_a_new_rule_without_an_id_gets_one() -> None:
    added = edits.add_rule({**rule("C"), "id": ""})(document("A"))
    assert len(added["rules"][1]["id"]) == 36


def test_a_changed_rule_keeps_its_id_and_its_place() -> None:
    changed = edits.change_rule("a", rule("Other"))(document("A", "B"))
    assert (ids_of(changed), order_of(changed)) == (["a", "b"], ["Other", "B"])


def test_copies_stand_below_their_originals_under_free_names() -> None:
    twice = edits.duplicate_rules(["a", "copy-of-a"])(document("A", "Copy of A", "B"))
    assert order_of(twice) == ["A", "Copy of A (2)", "Copy of A", "Copy of Copy of A", "B"]
    assert len(set(ids_of(twice))) == 5


def test_a_copy_of_the_longest_name_is_still_a_valid_document() -> None:
    longest = document("x" * LIMITS["name"])
    copied = edits.duplicate_rules(ids_of(longest))(edits.duplicate_rules(ids_of(longest))(longest))
    assert edits.checked(copied) == copied


def test_rules_are_deleted_disabled_and_enabled_by_id() -> None:
    start = document("A", "B", "C")
    assert order_of(edits.delete_rules({"a", "c"})(start)) == ["B"]
    disabled = edits.set_enabled({"b"}, enabled=False)(start)
    assert [each["enabled"] for each in disabled["rules"]] == [True, False, True]
    assert edits.set_enabled({"b"}, enabled=True)(disabled) == start


@pytest.mark.parametrize(
    "edit",
    [
        edits.change_rule("gone", rule("X")),
        edits.delete_rules({"a", "gone"}),
        edits.duplicate_rules({"gone"}),
        edits.set_enabled({"gone"}, enabled=True),
        edits.move_rules({"gone"}, -1),
    ],
)
def test_an_unknown_rule_is_rejected(edit: edits.Edit) -> None:
    with pytest.raises(UnknownRule):
        edit(document("A"))


@pytest.mark.parametrize("order", [[], ["a"], ["a", "a"], ["a", "b", "b"], ["a", "c"], ["a", "b", "c"]])
def test_an_order_that_does_not_match_is_rejected(order: list[str]) -> None:
    with pytest.raises(OrderMismatch):
        edits.reorder(order)(document("A", "B"))


@given(names, st.randoms(use_true_random=False))
def test_a_reorder_puts_the_rules_in_exactly_that_order_and_back(some: list[str], chance: random.Random) -> None:
    start = document(*some)
    order = ids_of(start)
    chance.shuffle(order)
    there = edits.reorder(order)(start)
    assert ids_of(there) == order
    assert edits.reorder(ids_of(start))(there) == start


@given(names, st.data(), st.sampled_from([-1, 1]))
def test_moved_rules_keep_their_order_and_go_one_place_at_most(some: list[str], data: st.DataObject, step: int) -> None:
    start = document(*some)
    chosen = data.draw(st.sets(st.sampled_from(ids_of(start))) if some else st.just(set()))
    moved = ids_of(edits.move_rules(chosen, step)(start))
    before = ids_of(start)
    assert sorted(moved) == sorted(before)
    assert [each for each in moved if each in chosen] == [each for each in before if each in chosen]
    assert [each for each in moved if each not in chosen] == [each for each in before if each not in chosen]
    assert all(moved.index(each) - before.index(each) in {0, step} for each in chosen)


@given(names, st.data())
def test_an_edit_never_changes_the_document_it_was_given(some: list[str], data: st.DataObject) -> None:
    start = document(*some)
    chosen = data.draw(st.sets(st.sampled_from(ids_of(start))) if some else st.just(set()))
    for edit in (edits.delete_rules(chosen), edits.duplicate_rules(chosen), edits.move_rules(chosen, 1)):
        edit(start)
        assert start == document(*some)


def test_an_invalid_document_names_rule_and_field() -> None:
    with pytest.raises(DocumentInvalid) as refused:
        edits.checked(edits.add_rule(rule("a"))(document("A")))
    assert {(error.rule, error.field) for error in refused.value.errors} == {("a", "id"), ("a", "name")}


@pytest.mark.parametrize(
    ("chosen", "position", "order"),
    [
        ("d", 1, "DABC"),
        ("a", 4, "BCDA"),
        ("a", 999, "BCDA"),
        ("db", 1, "BDAC"),
        ("ac", 3, "BDAC"),
        ("abcd", 2, "ABCD"),
    ],
)
def test_rules_move_together_to_a_position(chosen: str, position: int, order: str) -> None:
    assert "".join(order_of(edits.move_to_position(chosen, position)(document(*"ABCD")))) == order


@pytest.mark.parametrize(("chosen", "other", "order"), [("d", "b", "ADBC"), ("a", "d", "BCAD"), ("bd", "a", "BDAC")])
def test_rules_move_above_another(chosen: str, other: str, order: str) -> None:
    assert "".join(order_of(edits.move_above(chosen, other)(document(*"ABCD")))) == order


@pytest.mark.parametrize(("chosen", "other"), [("a", "a"), ("a", "x"), ("x", "a")])
def test_a_rule_is_not_moved_above_itself_or_a_missing_one(chosen: str, other: str) -> None:
    with pytest.raises(UnknownRule):
        edits.move_above(chosen, other)(document(*"ABCD"))
