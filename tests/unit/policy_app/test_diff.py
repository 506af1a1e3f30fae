"""What differs between two documents."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from drift.policy import edits
from drift.policy.diff import diff
from tests.unit.policy_app.samples import document, rule


def kinds(before: dict[str, object], after: dict[str, object]) -> list[tuple[str, str]]:
    return [(change.kind, change.name) for change in diff(before, after)]


def test_equal_documents_differ_in_nothing() -> None:
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
