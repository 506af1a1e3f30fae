"""Reapplying a user's changes to a version that was saved since."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift.policy.actions import drafts, versions
from drift.policy.domain import edits
from drift.policy.domain.rebase import rebase
from drift.policy.errors import DocumentInvalid
from drift.policy.queries.drafts import draft_state
from sensor.policy import LIMITS
from tests.unit.drift.policy.samples import document, rule

ACTIONS = ("alert", "block", "ignore")


def order_of(merged: dict[str, Any]) -> list[str]:
    return [each["name"] for each in merged["rules"]]


def put(start: dict[str, Any], name: str, **changes: Any) -> dict[str, Any]:
    old = edits.find_rule(start, name.lower())
    assert old is not None
    return edits.change_rule(name.lower(), {**old, **changes})(start)


@st.composite
def variants(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """A base and two documents that came from it: rules deleted, added (X by both), moved, changed."""
    base = document(*"ABCDE")

    def variant(new: str) -> dict[str, Any]:
        names = draw(st.permutations([*draw(st.sets(st.sampled_from("ABCDE"))), *draw(st.sets(st.sampled_from(new)))]))
        changed = document(*names, default={"action": draw(st.sampled_from(["alert", "ignore"]))})
        for each in changed["rules"]:
            each["action"] = draw(st.sampled_from(ACTIONS))
        return changed

    return base, variant("XYZ"), variant("XQR")


@given(variants())
def test_a_change_of_one_side_alone_is_the_result(trio: tuple[Any, Any, Any]) -> None:
    base, yours, theirs = trio
    assert rebase(base, yours, base) == (yours, [])
    assert rebase(base, base, theirs) == (theirs, [])
    assert rebase(base, yours, yours) == (yours, [])


@given(variants())
def test_the_result_is_always_a_valid_document_that_loses_no_new_rule(trio: tuple[Any, Any, Any]) -> None:
    base, yours, theirs = trio
    merged, _ = rebase(base, yours, theirs)
    assert edits.checked(merged) == merged
    new = {each for side in (yours, theirs) for each in order_of(side)} - set("ABCDE")
    assert new <= set(order_of(merged))


@given(variants())
def test_a_clash_is_reported_wherever_a_change_of_theirs_is_overruled(trio: tuple[Any, Any, Any]) -> None:
    base, yours, theirs = trio
    merged, clashes = rebase(base, yours, theirs)
    for name in "ABCDEX":
        before, mine, other, now = (edits.find_rule(each, name.lower()) for each in (base, yours, theirs, merged))
        if other not in (before, now):
            assert name in {clash.name for clash in clashes}, (mine, other, now)


def test_changes_of_different_fields_of_a_rule_are_merged() -> None:
    base = document("A")
    merged, clashes = rebase(base, put(base, "A", action="block"), put(base, "A", note="why"))
    assert (merged["rules"][0]["action"], merged["rules"][0]["note"], clashes) == ("block", "why", [])


def test_of_two_changes_of_one_field_yours_is_kept_and_reported() -> None:
    base = document("A")
    merged, clashes = rebase(base, put(base, "A", action="block"), put(base, "A", action="alert"))
    assert merged["rules"][0]["action"] == "block"
    assert [(clash.name, clash.outcome) for clash in clashes] == [
        ("A", "action also changed since: your change is kept")
    ]


def test_a_rule_that_no_longer_blocks_has_no_dry_run_that_the_other_side_gave_it() -> None:
    base = put(document("A"), "A", action="block")
    sides = put(base, "A", action="alert"), put(base, "A", dry_run=True)
    for yours, theirs in (sides, sides[::-1]):
        merged, _ = rebase(base, yours, theirs)
        assert merged["rules"][0]["action"] == "alert"
        assert edits.checked(merged) == merged


def test_of_two_rules_added_under_one_id_yours_is_kept_and_differences_are_reported() -> None:
    """As by a file that both took in: the id is the file's."""
    base, (mine, other) = document("B"), (rule("A", note=note) for note in ("yours", "theirs"))
    yours, theirs = (edits.add_rule(each)(base) for each in (mine, other))
    merged, clashes = rebase(base, yours, theirs)
    assert merged == yours
    assert [(clash.name, clash.outcome) for clash in clashes] == [("A", "note also changed since: your change is kept")]
    assert rebase(base, yours, yours) == (yours, [])


def test_a_rule_that_one_side_deleted_and_the_other_changed_stays() -> None:
    base = document("A", "B")
    gone = edits.delete_rules({"a"})(base)
    changed = put(base, "A", action="block")
    for yours, theirs in ((gone, changed), (changed, gone)):
        merged, clashes = rebase(base, yours, theirs)
        assert edits.find_rule(merged, "a") == changed["rules"][0]
        assert [clash.name for clash in clashes] == ["A"]


def test_a_rule_you_moved_keeps_its_place_below_the_same_rule() -> None:
    base = document(*"ABCD")
    merged, clashes = rebase(base, document(*"ADBC"), document(*"NABCDM"))
    assert (order_of(merged), clashes) == (list("NADBCM"), [])


def test_two_new_rules_of_one_name_both_stay() -> None:
    base = document("A")
    yours = edits.add_rule(rule("New", id="mine"))(base)
    theirs = edits.add_rule(rule("NEW", id="theirs"))(base)
    merged, clashes = rebase(base, yours, theirs)
    assert set(order_of(merged)) == {"A", "NEW", "Copy of New"}
    assert [clash.name for clash in clashes] == ["New"]


@pytest.mark.services
@pytest.mark.django_db
def test_a_rebased_draft_can_be_saved(admin: Any, owner: Any, queued: list[Any]) -> None:
    mine = drafts.change_draft(draft_state(admin), edits.add_rule(rule("Mine")))
    versions.save_document(owner, document("Theirs"), 1)
    state, clashes = drafts.rebase_draft(mine)
    assert (state.base.number, order_of(state.document), clashes) == (2, ["Theirs", "Mine"], [])
    assert versions.save_draft(state).version.number == 3


@pytest.mark.services
@pytest.mark.django_db
def test_a_rebase_that_makes_too_many_rules_changes_nothing(
    admin: Any, owner: Any, queued: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = drafts.change_draft(draft_state(admin), edits.add_rule(rule("Mine")))
    versions.save_document(owner, document("Theirs", "Theirs too"), 1)
    monkeypatch.setitem(LIMITS, "rules", 2)
    with pytest.raises(DocumentInvalid):
        drafts.rebase_draft(mine)
    assert draft_state(admin).document == mine.document


@pytest.mark.parametrize(
    ("base", "yours", "theirs", "merged"),
    [
        pytest.param("AB", "ABX", "ABY", "ABYX", id="both added a rule at the bottom: theirs keeps priority 3"),
        pytest.param("AB", "XAB", "YAB", "YXAB", id="both added a rule at the top: theirs keeps priority 1"),
        pytest.param("AB", "AXB", "AYB", "AYXB", id="both added a rule in the middle"),
        pytest.param("ABC", "ABCX", "CAB", "CABX", id="they moved the rule above mine to the top"),
        pytest.param("ABC", "XABC", "BCA", "XBCA", id="they moved the rule below mine to the bottom"),
        pytest.param("ABCD", "DABC", "ABYCD", "DABYC", id="I moved a rule to the top"),
        pytest.param("ABCD", "BCDA", "AYBCD", "YBCDA", id="I moved the first rule to the bottom"),
        pytest.param("ABC", "ABCXZ", "ABYC", "ABYCXZ", id="my rules keep their own order"),
        pytest.param("ABC", "AC", "ACBY", "ACY", id="I deleted what they moved, unchanged"),
    ],
)
def test_their_rules_keep_their_priority_and_mine_stay_between_their_neighbours(
    base: str, yours: str, theirs: str, merged: str
) -> None:
    found, _ = rebase(document(*base), document(*yours), document(*theirs))
    assert "".join(order_of(found)) == merged


def test_a_rule_that_both_moved_is_reported() -> None:
    found, clashes = rebase(document(*"ABCD"), document(*"DABC"), document(*"ADBC"))
    assert order_of(found)[0] == "D"
    assert [(clash.name, clash.outcome) for clash in clashes] == [("D", "also moved since: your place is kept")]


@given(variants())
def test_their_own_rules_keep_their_order(trio: tuple[Any, Any, Any]) -> None:
    base, yours, theirs = trio
    merged, _ = rebase(base, yours, theirs)
    new = [name for name in order_of(theirs) if name not in "ABCDEX"]
    assert [name for name in order_of(merged) if name in new] == new
