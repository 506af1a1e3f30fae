"""Undo in a draft: every change can be taken back, the newest first, until the draft is saved or proposed."""

from __future__ import annotations

from threading import Thread
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from drift.policy.actions import drafts, versions
from drift.policy.actions.draft_steps import MAX_STEPS, forget_steps
from drift.policy.actions.proposals import propose_draft, take_proposal, withdraw_proposal
from drift.policy.domain import edits
from drift.policy.errors import NothingToUndo, PolicyConflict, StaleDraft
from drift.policy.models import DraftStep, PolicyProposal, PolicyVersion
from drift.policy.queries.draft_steps import undo_label
from drift.policy.queries.drafts import draft_state
from tests.unit.drift.policy.page_client import PAGE, names, send, text
from tests.unit.drift.policy.samples import document

pytestmark = pytest.mark.django_db

DEFAULT = "Default binary drift rule"


def _names(user: Any) -> list[str]:
    return [rule["name"] for rule in draft_state(user).document["rules"]]


def test_changes_are_undone_one_by_one_to_the_beginning(three_rules: PolicyVersion, admin: Any) -> None:
    drafts.change_draft(draft_state(admin), edits.delete_rules(["a"]), "1 rule deleted")
    drafts.change_draft(draft_state(admin), edits.reorder(["c", "b"]), "Rules reordered")
    drafts.discard_draft(draft_state(admin))
    undone = []
    while undo_label(admin):
        undone.append((drafts.undo_change(draft_state(admin))[1], _names(admin)))
    assert undone == [
        ("Changes discarded", ["C", "B"]),
        ("Rules reordered", ["B", "C"]),
        ("1 rule deleted", ["A", "B", "C"]),
    ]
    assert not draft_state(admin).is_dirty
    with pytest.raises(NothingToUndo):
        drafts.undo_change(draft_state(admin))


def test_an_undo_raises_the_revision_so_that_other_windows_are_stale(three_rules: PolicyVersion, admin: Any) -> None:
    seen = drafts.change_draft(draft_state(admin), edits.delete_rules(["a"]))
    drafts.undo_change(seen)
    with pytest.raises(StaleDraft):
        drafts.change_draft(seen, edits.delete_rules(["b"]))
    assert _names(admin) == ["A", "B", "C"]


def test_a_refused_undo_leaves_the_step(three_rules: PolicyVersion, admin: Any) -> None:
    seen = drafts.change_draft(draft_state(admin), edits.delete_rules(["a"]))
    newer = drafts.change_draft(seen, edits.delete_rules(["b"]))
    with pytest.raises(StaleDraft):
        drafts.undo_change(seen)
    drafts.undo_change(newer)
    assert _names(admin) == ["B", "C"]


def test_changes_after_an_undo_are_undone_before_older_ones(three_rules: PolicyVersion, admin: Any) -> None:
    drafts.change_draft(draft_state(admin), edits.delete_rules(["a"]))
    drafts.change_draft(draft_state(admin), edits.delete_rules(["b"]))
    drafts.undo_change(draft_state(admin))
    drafts.change_draft(draft_state(admin), edits.delete_rules(["c"]))
    drafts.undo_change(draft_state(admin))
    assert _names(admin) == ["B", "C"]
    drafts.undo_change(draft_state(admin))
    assert _names(admin) == ["A", "B", "C"]


def test_a_change_that_changes_nothing_leaves_nothing_to_undo(three_rules: PolicyVersion, admin: Any) -> None:
    drafts.change_draft(draft_state(admin), edits.reorder(["a", "b", "c"]))
    drafts.discard_draft(draft_state(admin))
    assert undo_label(admin) == ""


def test_only_the_newest_changes_are_kept(three_rules: PolicyVersion, admin: Any) -> None:
    for number in range(MAX_STEPS + 5):
        order = ["b", "a", "c"] if number % 2 else ["a", "b", "c"]
        drafts.change_draft(draft_state(admin), edits.reorder(order[::-1]))
    assert DraftStep.objects.filter(user=admin).count() <= MAX_STEPS


def test_undone_changes_do_not_shorten_what_can_be_undone(three_rules: PolicyVersion, admin: Any) -> None:
    drafts.change_draft(draft_state(admin), edits.delete_rules(["a"]), "The first")
    for _ in range(MAX_STEPS):
        drafts.change_draft(draft_state(admin), edits.delete_rules(["b"]))
        drafts.undo_change(draft_state(admin))
    drafts.change_draft(draft_state(admin), edits.delete_rules(["c"]))
    drafts.undo_change(draft_state(admin))
    assert undo_label(admin) == "The first"


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_an_undo_during_a_save_finds_its_draft_changed(
    three_rules: PolicyVersion, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = drafts.change_draft(draft_state(admin), edits.delete_rules(["a"]))
    outcomes: list[str] = []

    def undo() -> None:
        try:
            drafts.undo_change(state)
        except PolicyConflict as error:
            outcomes.append(error.default_code)
        finally:
            connection.close()

    undoing = Thread(target=undo)

    def forget_while_the_undo_waits(user: Any) -> None:
        undoing.start()
        while undoing.is_alive() and not _is_anyone_waiting():
            continue
        forget_steps(user)

    monkeypatch.setattr(versions, "forget_steps", forget_while_the_undo_waits)
    saved = versions.save_draft(state)
    undoing.join(30)
    assert outcomes == ["stale_draft"]
    assert (saved.version.number, _names(admin), undo_label(admin)) == (3, ["B", "C"], "")


def _is_anyone_waiting() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)"
            " WHERE NOT l.granted AND a.datname = current_database()"
        )
        return cursor.fetchone() is not None


def test_what_was_saved_or_proposed_is_not_undone(three_rules: PolicyVersion, admin: Any, operator: Any) -> None:
    versions.save_draft(drafts.change_draft(draft_state(admin), edits.delete_rules(["a"])))
    assert undo_label(admin) == ""
    state, proposal = propose_draft(drafts.change_draft(draft_state(operator), edits.delete_rules(["b"])))
    assert undo_label(operator) == ""
    drafts.change_draft(state, edits.delete_rules(["c"]))
    withdraw_proposal(draft_state(operator), proposal)
    assert undo_label(operator) == ""


def test_a_discard_is_undone_after_a_colleague_saved(three_rules: PolicyVersion, admin: Any, owner: Any) -> None:
    drafts.change_draft(draft_state(admin), edits.delete_rules(["a"]))
    drafts.discard_draft(draft_state(admin))
    versions.save_document(owner, document("Theirs"), 2)
    state, _ = drafts.undo_change(draft_state(admin))
    assert (state.base.number, state.latest, state.is_behind) == (2, 3, True)
    assert _names(admin) == ["B", "C"]


def test_an_undone_copy_of_a_proposal_is_open_to_other_admins(
    three_rules: PolicyVersion, admin: Any, operator: Any
) -> None:
    _, proposal = propose_draft(drafts.change_draft(draft_state(operator), edits.delete_rules(["b"])))
    take_proposal(draft_state(admin), proposal)
    drafts.undo_change(draft_state(admin))
    assert _names(admin) == ["A", "B", "C"]
    assert PolicyProposal.objects.get().taken_by is None


def test_nobody_undoes_a_colleague_s_change(editor: Client, admin: Any, owner: Any, three_rules: PolicyVersion) -> None:
    drafts.change_draft(draft_state(owner), edits.delete_rules(["a"]))
    assert undo_label(admin) == ""
    assert send(editor, admin, "undo/", {}).status_code == 409
    assert _names(owner) == ["B", "C"]


@pytest.mark.parametrize(
    ("path", "data", "message"),
    [
        ("command/", {"do": "delete", "rule": ["a", "b"]}, "2 rules deleted"),
        ("command/", {"do": "disable", "rule": ["a"]}, "1 rule disabled"),
        ("detect/", {"kind": ["fileless"]}, "Detection kinds changed"),
        ("default/", {"action": "alert"}, "Default rule changed"),
        ("import/", {"text": '{"schema": 1, "rules": [], "default": {"action": "alert"}}'}, "Imported: 0 rules"),
    ],
)
def test_each_change_is_told_in_a_toast_with_undo(
    editor: Client, admin: Any, three_rules: PolicyVersion, path: str, data: dict[str, Any], message: str
) -> None:
    changed = text(send(editor, admin, path, data))
    toast = changed.partition('class="toast"')[2].partition("</div>")[0]
    assert message in toast
    assert "/settings/policy/undo/" in toast
    undone = send(editor, admin, "undo/", {})
    assert names(undone) == ["A", "B", "C", DEFAULT]
    assert 'class="toast"' not in text(undone)
    assert draft_state(admin).document == three_rules.document


def test_without_javascript_the_page_offers_the_undo(editor: Client, admin: Any, three_rules: PolicyVersion) -> None:
    send(editor, admin, "command/", {"do": "delete", "rule": ["a"]}, htmx=False)
    assert "Undo: 1 rule deleted" in text(editor.get(PAGE))
    assert send(editor, admin, "undo/", {}, htmx=False).status_code == 302
    assert _names(admin) == ["A", "B", "C"]
