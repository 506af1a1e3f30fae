"""Changing a draft: of two writers, one wins."""

from __future__ import annotations

from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection

from drift.policy.actions import drafts, versions
from drift.policy.domain import edits
from drift.policy.domain.draft_revision import DraftRevision
from drift.policy.errors import (
    DefaultMayNotBlock,
    DocumentInvalid,
    OrderMismatch,
    PolicyConflict,
    StaleDraft,
    UnknownRule,
)
from drift.policy.models import PolicyDraft
from drift.policy.queries.drafts import draft_state
from tests.unit.drift.policy.samples import rule, unchanged_draft

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def names_of(user: Any) -> list[str]:
    return [each["name"] for each in draft_state(user).document["rules"]]


def test_without_a_draft_a_user_sees_the_first_version(admin: Any) -> None:
    state = draft_state(admin)
    assert (names_of(admin), state.draft_revision, state.is_dirty) == (
        ["Alert on Kube-System namespace"],
        DraftRevision(1, 0),
        False,
    )


def test_a_change_is_stored_in_the_draft_and_makes_no_version(admin: Any, owner: Any) -> None:
    state = drafts.change_draft(draft_state(admin), edits.add_rule(rule("A")))
    assert [change.kind for change in state.changes] == ["added"]
    assert names_of(owner) == ["Alert on Kube-System namespace"]


def test_a_change_of_an_older_revision_is_rejected_and_changes_nothing(admin: Any) -> None:
    unseen = draft_state(admin)
    first = drafts.change_draft(unseen, edits.add_rule(rule("A")))
    drafts.change_draft(first, edits.add_rule(rule("B")))
    for stale in (
        DraftRevision(1, 0),
        first.draft_revision,
        DraftRevision(2, first.revision + 1),
        DraftRevision(1, first.revision + 2),
    ):
        with pytest.raises(StaleDraft):
            drafts.change_draft(draft_state(admin).expect(stale), edits.add_rule(rule("C")))
    for old in (unseen, first):
        with pytest.raises(StaleDraft):
            drafts.change_draft(old, edits.add_rule(rule("C")))
    assert names_of(admin)[1:] == ["A", "B"]


def test_an_invalid_change_is_rejected_and_keeps_the_revision(admin: Any) -> None:
    state = drafts.change_draft(draft_state(admin), edits.add_rule(rule("A")))
    for wrong, error in (
        (edits.add_rule(rule("a")), DocumentInvalid),
        (edits.delete_rules({"gone"}), UnknownRule),
        (edits.reorder(["a"]), OrderMismatch),
        (edits.set_default_action("block"), DefaultMayNotBlock),
        (edits.set_default_action("block", dry_run=True), DefaultMayNotBlock),
        (edits.set_default_action("stop"), DocumentInvalid),
    ):
        with pytest.raises(error):
            drafts.change_draft(state, wrong)
    assert draft_state(admin).draft_revision == state.draft_revision


def test_discarding_restores_the_latest_version_and_keeps_other_windows_stale(admin: Any) -> None:
    changed = drafts.change_draft(draft_state(admin), edits.add_rule(rule("A")))
    discarded = drafts.discard_draft(changed)
    assert (discarded.is_dirty, names_of(admin)) == (False, ["Alert on Kube-System namespace"])
    drafts.change_draft(discarded, edits.add_rule(rule("B")))
    with pytest.raises(StaleDraft):
        drafts.change_draft(changed, edits.add_rule(rule("C")))


def test_a_change_that_is_reverted_leaves_nothing_to_save(admin: Any) -> None:
    added = drafts.change_draft(draft_state(admin), edits.add_rule(rule("A")))
    assert not drafts.change_draft(added, edits.delete_rules({"a"})).is_dirty


def test_a_draft_without_changes_follows_the_latest_version(admin: Any, owner: Any, queued: list[Any]) -> None:
    unchanged_draft(admin)
    theirs = drafts.change_draft(draft_state(owner), edits.add_rule(rule("A")))
    versions.save_draft(theirs)
    state = draft_state(admin)
    assert (state.base.number, names_of(admin)[1:]) == (2, ["A"])
    drafts.change_draft(state, edits.add_rule(rule("B")))
    assert names_of(admin)[1:] == ["A", "B"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("known", [False, True])
def test_of_two_editors_at_once_one_wins_and_the_other_is_rejected(admin: Any, known: bool) -> None:
    if known:
        unchanged_draft(admin)
    point = draft_state(admin).draft_revision
    together = Barrier(2, timeout=20)
    outcomes: list[str] = []

    def edit(name: str) -> None:
        def wait_for_the_other(document: dict[str, Any]) -> dict[str, Any]:
            if known:  # Both have read the draft before either writes it.
                together.wait()
            return edits.add_rule(rule(name))(document)

        try:
            drafts.change_draft(draft_state(admin).expect(point), wait_for_the_other)
            outcomes.append("won")
        except PolicyConflict:
            outcomes.append("rejected")
        finally:
            connection.close()

    editors = [Thread(target=edit, args=(name,)) for name in ("A", "B")]
    for editor in editors:
        editor.start()
    for editor in editors:
        editor.join(30)
    assert sorted(outcomes) == ["rejected", "won"]
    assert len(names_of(admin)) == 2
    assert PolicyDraft.objects.get().revision == 2
