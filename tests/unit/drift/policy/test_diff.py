"""The diff between two documents, and two diffs side by side."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from drift.policy.domain import edits
from drift.policy.domain.diff import added_twice, diff
from drift.policy.views.change_lines import ThreeWays, three_ways
from tests.unit.drift.policy.samples import document, rule


def kinds(before: dict[str, object], after: dict[str, object]) -> list[tuple[str, str]]:
    return [(change.kind, change.name) for change in diff(before, after)]


def test_equal_documents_have_no_diff() -> None:
    assert diff(document("A", "B"), document("A", "B")) == []


def test_each_kind_of_change_is_named() -> None:
    before = document("A", "B", "C", "D")
    after = edits.checked(
        {
            **before,
            "rules": [rule("D"), rule("A", action="alert", note="why"), rule("C"), rule("E")],
            "default": {"action": "alert"},
            "detect": ["new_file"],
        }
    )
    assert kinds(before, after) == [
        ("removed", "B"),
        ("moved", "D"),
        ("changed", "A"),
        ("added", "E"),
        ("changed", "Default binary drift rule"),
        ("changed", "Detection kinds"),
    ]
    fields = next(change for change in diff(before, after) if change.name == "A").fields
    assert [(field.field, field.before, field.after) for field in fields] == [
        ("action", "ignore", "alert"),
        ("note", "", "why"),
    ]


def test_one_rule_dragged_to_the_top_is_one_move() -> None:
    assert kinds(document("A", "B", "C", "D"), document("D", "A", "B", "C")) == [("moved", "D")]


@given(st.permutations(list("ABCDEF")))
def test_no_smaller_set_of_moves_explains_the_order(after: list[str]) -> None:
    moved = {change.name for change in diff(document(*"ABCDEF"), document(*after))}
    assert [name for name in after if name not in moved] == [name for name in "ABCDEF" if name not in moved]
    for size in range(len(moved)):
        for fewer in combinations("ABCDEF", size):
            assert [n for n in after if n not in fewer] != [n for n in "ABCDEF" if n not in fewer]


def changed(**fields: object) -> dict[str, object]:
    """A document with A and B, and these fields of A."""
    return edits.checked({**document("A", "B"), "rules": [rule("A", **fields), rule("B")]})


def test_two_sides_are_shown_beside_their_common_base() -> None:
    base, theirs, yours = document("A", "B"), changed(note="theirs", action="alert"), changed(note="yours")

    lines = three_ways(diff(base, theirs), diff(base, yours))

    assert lines == [
        ThreeWays("A", "Action", "Ignore drift detection", "Drift detection alert", ""),
        ThreeWays("A", "Note", "none", "theirs", "yours"),
    ]
    assert [line.is_clash for line in lines] == [False, True]


def test_the_same_change_on_both_sides_is_not_a_clash() -> None:
    base, same = document("A", "B"), diff(document("A", "B"), changed(note="same"))

    assert [line.is_clash for line in three_ways(same, same)] == [False]
    assert three_ways(diff(base, base), diff(base, base)) == []


def test_a_rule_that_one_side_deleted_and_the_other_changed_is_a_clash() -> None:
    deleted, mended = diff(document("A", "B"), document("B")), diff(document("A", "B"), changed(note="yours"))

    assert three_ways(deleted, mended) == [
        ThreeWays("A", "Rule", "there", "deleted", "changed"),
        ThreeWays("A", "Note", "none", "", "yours"),
    ]
    assert three_ways(mended, deleted)[-1] == ThreeWays("A", "Rule", "there", "changed", "deleted")
    assert three_ways(deleted, mended)[0].is_clash


def test_a_rule_that_both_sides_added_differently_is_a_clash() -> None:
    base, theirs, yours = document("B"), changed(note="theirs"), changed(note="yours")
    sides = diff(base, theirs), diff(base, yours)

    lines = three_ways(*sides, added_twice(base, theirs, yours))

    assert lines == [
        ThreeWays("A", "Rule", "–", "added", "added"),
        ThreeWays("A", "Note", "–", "theirs", "yours"),
    ]
    assert [line.is_clash for line in lines] == [False, True]
    assert added_twice(base, theirs, theirs) == added_twice(theirs, theirs, yours) == []
