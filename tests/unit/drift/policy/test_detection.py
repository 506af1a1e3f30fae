"""A policy that detects less than usual: warned about on the page, and saved only with a typed confirmation."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from drift.policy.actions import drafts, versions
from drift.policy.actions.proposals import accept_proposal, propose_draft
from drift.policy.domain import edits
from drift.policy.domain.detection import alerts_on_nothing, detects_nothing, is_confirmed, unreported_kinds
from drift.policy.errors import DetectsNothing
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from drift.policy.queries.versions import latest_number
from sensor.policy.drift_kinds import DEFAULT_DETECT
from tests.unit.drift.policy.page_client import HTMX, PAGE, send, text
from tests.unit.drift.policy.samples import document, rule

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("detect", "missing"),
    [(DEFAULT_DETECT, []), ([*DEFAULT_DETECT, "interpreter"], []), (DEFAULT_DETECT[1:], ["New file"])],
)
def test_a_policy_is_narrowed_where_a_kind_that_is_on_by_default_is_off(detect: Any, missing: list[str]) -> None:
    policy = document("A", detect=list(detect))
    assert unreported_kinds(policy) == missing
    assert not detects_nothing(policy)


def test_only_kinds_that_are_off_by_default_are_still_something() -> None:
    policy = document("A", detect=["interpreter"])
    assert not detects_nothing(policy)
    assert len(unreported_kinds(policy)) == len(DEFAULT_DETECT)


@pytest.mark.parametrize(
    ("changes", "default", "is_silent"),
    [
        ({}, "ignore", True),
        ({}, "alert", False),
        ({"action": "alert"}, "ignore", False),
        ({"action": "alert", "enabled": False}, "ignore", True),
        ({"action": "block"}, "ignore", False),
        ({"allow_list": ["x"]}, "ignore", False),
        ({"allow_list": ["x"], "unlisted": "next_rule"}, "ignore", True),
        ({"action": "alert", "allow_list": ["x"], "unlisted": "next_rule"}, "ignore", True),
        ({"action": "block", "allow_list": ["x"], "unlisted": "next_rule"}, "ignore", True),
        ({"action": "alert", "unlisted": "next_rule"}, "ignore", False),
    ],
)
def test_a_policy_whose_every_rule_ignores_raises_no_alert(
    changes: dict[str, Any], default: str, is_silent: bool
) -> None:
    policy = document(rules=[rule("A", **changes)], default={"action": default})
    assert alerts_on_nothing(policy) is is_silent


@pytest.mark.parametrize("typed", ["detect nothing", " Detect Nothing "])
def test_the_confirmation_is_the_phrase_in_any_letter_case(typed: str) -> None:
    assert is_confirmed(document("A", detect=[]), typed)


@pytest.mark.parametrize("typed", ["", "yes", "detect", "detect  nothing", "nothing"])
def test_nothing_else_is_the_confirmation(typed: str) -> None:
    assert not is_confirmed(document("A", detect=[]), typed)


def test_no_way_of_saving_leads_past_the_confirmation(three_rules: PolicyVersion, admin: Any, owner: Any) -> None:
    nothing = document("A", detect=[])
    with pytest.raises(DetectsNothing):
        versions.save_document(admin, nothing, 2)
    state = drafts.change_draft(draft_state(admin), edits.set_detect([]))
    with pytest.raises(DetectsNothing):
        versions.save_draft(state)
    assert draft_state(admin).document["detect"] == []
    _, proposal = propose_draft(state)
    with pytest.raises(DetectsNothing):
        accept_proposal(owner, proposal, 2)
    saved = versions.save_document(admin, nothing, 2, confirmation="detect nothing").version
    versions.save_document(admin, document("A"), saved.number)
    with pytest.raises(DetectsNothing):
        versions.restore_version(admin, saved.number, 4)
    assert latest_number() == 4


def test_the_page_asks_for_the_phrase_and_keeps_the_draft(
    editor: Client, admin: Any, three_rules: PolicyVersion
) -> None:
    applied = send(editor, admin, "detect/", {})
    assert "Detection is off" in text(applied)
    assert "nothing is detected" in text(applied)
    refused = send(editor, admin, "save/", {"comment": "x"})
    assert refused.status_code == 409
    assert 'name="confirmation"' in text(refused)
    assert send(editor, admin, "save/", {"confirmation": "yes"}).status_code == 409
    assert latest_number() == 2
    saved = send(editor, admin, "save/", {"confirmation": "detect nothing"})
    assert "Saved as v3" in text(saved)
    assert "Detection is off" in text(editor.get(PAGE))


def test_the_list_names_the_kinds_that_are_not_reported(editor: Client, admin: Any, three_rules: PolicyVersion) -> None:
    send(editor, admin, "detect/", {"kind": [each for each in DEFAULT_DETECT if each != "volume"]})
    page = text(editor.get(PAGE))
    assert "Detection is narrowed" in page
    assert "Not reported and not blocked: Volume." in page


def test_a_version_that_detects_nothing_is_restored_with_the_phrase_alone(
    editor: Client, admin: Any, three_rules: PolicyVersion
) -> None:
    versions.save_document(admin, document("A", detect=[]), 2, confirmation="detect nothing")
    versions.save_document(admin, document("A"), 3)
    panel = text(editor.get(f"{PAGE}versions/3/restore/", headers=HTMX))
    assert 'name="confirmation"' in panel
    assert editor.post(f"{PAGE}versions/3/restore/", {"base": "4"}, headers=HTMX).status_code == 409
    assert latest_number() == 4
    editor.post(f"{PAGE}versions/3/restore/", {"base": "4", "confirmation": "detect nothing"}, headers=HTMX)
    assert latest_number() == 5


def test_the_command_needs_the_option(three_rules: PolicyVersion, admin: Any, tmp_path: Any) -> None:
    file = tmp_path / "policy.json"
    file.write_text('{"schema": 1, "detect": [], "rules": [], "default": {"action": "alert"}}')
    options = ["policy", "import", str(file), "--base", "2", "--user", admin.email]
    with pytest.raises(CommandError, match="--detects-nothing"):
        call_command(*options)
    assert latest_number() == 2
    call_command(*options, "--detects-nothing")
    assert latest_number() == 3
