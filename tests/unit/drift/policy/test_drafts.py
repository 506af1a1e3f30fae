"""Changing a draft: who may write over whom."""

from __future__ import annotations

from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection

from drift.policy.actions import drafts as actions
from drift.policy.domain import edits
from drift.policy.errors import Conflict, DocumentInvalid, OrderMismatch, StaleDraft, UnknownRule
from drift.policy.models import PolicyDraft
from drift.policy.queries.draft_state import Point, state_of
from tests.unit.drift.policy.samples import rule

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def names_of(user: Any) -> list[str]:
    return [each["name"] for each in state_of(user).document["rules"]]


def test_without_a_draft_a_user_sees_the_policy_out_of_the_box(admin: Any) -> None:
    state = state_of(admin)
    assert (names_of(admin), state.point, state.is_dirty) == (["Alert on Kube-System namespace"], Point(1, 0), False)


def test_starting_a_draft_twice_gives_the_same_draft(admin: Any) -> None:
    assert actions.start_draft(admin).pk == actions.start_draft(admin).pk
    assert not state_of(admin).is_dirty


def test_a_change_goes_into_the_draft_and_into_no_version(admin: Any, owner: Any) -> None:
    state = actions.change_draft(admin, Point(1, 0), edits.add_rule(rule("A")))
    assert [change.kind for change in state.changes] == ["added"]
    assert names_of(owner) == ["Alert on Kube-System namespace"]


def test_a_change_for_an_older_revision_is_refused_and_changes_nothing(admin: Any) -> None:
    first = actions.change_draft(admin, Point(1, 0), edits.add_rule(rule("A")))
    actions.change_draft(admin, first.point, edits.add_rule(rule("B")))
    for stale in (Point(1, 0), first.point, Point(2, first.revision + 1), Point(1, first.revision + 2)):
        with pytest.raises(StaleDraft):
            actions.change_draft(admin, stale, edits.add_rule(rule("C")))
    assert names_of(admin)[1:] == ["A", "B"]


def test_an_invalid_change_is_refused_and_leaves_the_revision(admin: Any) -> None:
    state = actions.change_draft(admin, Point(1, 0), edits.add_rule(rule("A")))
    for wrong, error in (
        (edits.add_rule(rule("a")), DocumentInvalid),
        (edits.delete_rules({"gone"}), UnknownRule),
        (edits.reorder(["a"]), OrderMismatch),
        (edits.set_default_action("block"), DocumentInvalid),
    ):
        with pytest.raises(error):
            actions.change_draft(admin, state.point, wrong)
    assert state_of(admin).point == state.point


def test_discarding_brings_the_latest_version_back_and_keeps_other_windows_stale(admin: Any) -> None:
    changed = actions.change_draft(admin, Point(1, 0), edits.add_rule(rule("A")))
    discarded = actions.discard_draft(admin, changed.point)
    assert (discarded.is_dirty, names_of(admin)) == (False, ["Alert on Kube-System namespace"])
    actions.change_draft(admin, discarded.point, edits.add_rule(rule("B")))
    with pytest.raises(StaleDraft):
        actions.change_draft(admin, changed.point, edits.add_rule(rule("C")))


def test_a_change_that_is_taken_back_leaves_nothing_to_save(admin: Any) -> None:
    added = actions.change_draft(admin, Point(1, 0), edits.add_rule(rule("A")))
    assert not actions.change_draft(admin, added.point, edits.delete_rules({"a"})).is_dirty


def test_a_draft_without_changes_follows_the_latest_version(admin: Any, owner: Any, queued: list[Any]) -> None:
    actions.start_draft(admin)
    theirs = actions.change_draft(owner, Point(1, 0), edits.add_rule(rule("A")))
    actions.save_draft(owner, theirs.point)
    state = state_of(admin)
    assert (state.base.number, names_of(admin)[1:]) == (2, ["A"])
    actions.change_draft(admin, state.point, edits.add_rule(rule("B")))
    assert names_of(admin)[1:] == ["A", "B"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("known", [False, True])
def test_of_two_editors_at_once_one_wins_and_the_other_is_told(admin: Any, known: bool) -> None:
    if known:
        actions.start_draft(admin)
    point = state_of(admin).point
    together = Barrier(2, timeout=20)
    outcomes: list[str] = []

    def edit(name: str) -> None:
        def wait_for_the_other(document: dict[str, Any]) -> dict[str, Any]:
            if known:  # Both have read the draft before either writes it.
                together.wait()
            return edits.add_rule(rule(name))(document)

        try:
            actions.change_draft(admin, point, wait_for_the_other)
            outcomes.append("won")
        except Conflict:
            outcomes.append("told")
        finally:
            connection.close()

    editors = [Thread(target=edit, args=(name,)) for name in ("A", "B")]
    for editor in editors:
        editor.start()
    for editor in editors:
        editor.join(30)
    assert sorted(outcomes) == ["told", "won"]
    assert len(names_of(admin)) == 2
    assert PolicyDraft.objects.get().revision == 2
