"""The history: comparing two versions, restoring one, exporting one as a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry
from drift.policy.actions import drafts, versions
from drift.policy.domain import edits
from drift.policy.domain.conflicts import NewerVersion
from drift.policy.errors import UnknownVersion
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from sensor.policy import digest
from sensor.policy.document_text import parse_document as parse
from tests.unit.drift.policy.samples import document, rule

pytestmark = [pytest.mark.services, pytest.mark.django_db]

HISTORY = "/settings/policy/versions/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def three_versions(admin: Any, queued: list[Any]) -> None:
    """Version 1 out of the box, 2 with A and B, 3 with A alone."""
    versions.save_document(admin, document("A", "B"), 1, "Two rules")
    versions.save_document(admin, document("A"), 2, "One rule")
    queued.clear()


def text(response: Any) -> str:
    return unescape(response.content.decode())


def test_a_restored_version_is_a_new_number_with_the_old_document(
    admin: Any, three_versions: None, queued: list[Any]
) -> None:
    saved = versions.restore_version(admin, 2, 3, "Back")
    assert (saved.is_new, saved.version.number, saved.version.restored_from_id) == (True, 4, 2)
    assert saved.version.document == PolicyVersion.objects.get(number=2).document
    entry = AuditEntry.objects.latest("id")
    assert (entry.verb, entry.actor, entry.object_id) == ("restored", admin, "4")
    assert entry.after is not None
    assert entry.after["restored_from"] == 2


def test_restoring_sends_the_new_version_to_the_sensors(
    admin: Any, three_versions: None, queued: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        versions.restore_version(admin, 2, 3)
    assert queued == [("fleet.start_rollout", (4,))]


def test_restoring_the_current_policy_makes_no_version(admin: Any, three_versions: None) -> None:
    saved = versions.restore_version(admin, 3, 3)
    assert (saved.is_new, saved.version.number) == (False, 3)


def test_a_restore_over_a_newer_version_is_rejected(admin: Any, three_versions: None) -> None:
    with pytest.raises(NewerVersion) as refused:
        versions.restore_version(admin, 1, 2)
    assert [change.name for change in refused.value.theirs] == ["B"]
    with pytest.raises(UnknownVersion):
        versions.restore_version(admin, 9, 3)
    assert PolicyVersion.objects.count() == 3


def test_restoring_keeps_the_changes_of_drafts(admin: Any, three_versions: None) -> None:
    drafts.change_draft(draft_state(admin), edits.add_rule(rule("Mine")))
    versions.restore_version(admin, 2, 3)
    state = draft_state(admin)
    assert (state.is_dirty, state.is_behind) == (True, True)


def test_the_history_names_author_time_comment_digest_and_rollout_of_each(
    reader: Any, client_of: Callable[[Any], Client], three_versions: None, django_assert_max_num_queries: Any
) -> None:
    browser = client_of(reader)
    with django_assert_max_num_queries(4):
        page = text(browser.get(HISTORY))
    version = PolicyVersion.objects.get(number=3)
    rollouts = [reverse("fleet:rollout", args=[number]) for number in (1, 2, 3)]
    for expected in ("One rule", "Two rules", "Admin", version.digest[:12], "v1", *rollouts):
        assert expected in page
    assert f"{version.created_at:%Y-%m-%d %H:%M:%S} UTC" in page
    assert "/restore/" not in page


def test_older_versions_are_on_the_next_page(editor: Client, three_versions: None) -> None:
    page = text(editor.get(HISTORY + "?before=3"))
    assert "Two rules" in page
    assert "One rule" not in page
    assert "No older versions" in text(editor.get(HISTORY + "?before=1"))


@pytest.mark.parametrize("query", ["before=x", "before=99999999999", "before=²"])
def test_an_invalid_number_in_the_url_is_not_found(editor: Client, query: str) -> None:
    assert editor.get(f"{HISTORY}?{query}").status_code == 404


def test_any_two_versions_are_compared_field_by_field(editor: Client, admin: Any, three_versions: None) -> None:
    changed = document("A")
    changed["rules"][0] |= {"action": "alert", "allow_list": ["dev1.exe"]}
    versions.save_document(admin, changed, 3)
    shown = text(editor.get(HISTORY + "compare/?from=2&to=4", headers=HTMX))
    assert "From v2 to v4" in shown
    assert "Removed</span> <strong>B</strong>" in shown
    assert "<dt>Action</dt>" in shown
    assert "<dt>Allow list</dt><dd><del>none</del> <ins>dev1.exe</ins>" in shown
    assert "From v3 to v4" in text(editor.get(HISTORY + "compare/?to=4"))
    assert "are the same policy" in text(editor.get(HISTORY + "compare/?from=2&to=2", headers=HTMX))
    assert editor.get(HISTORY + "compare/?from=2&to=99").status_code == 404
    assert editor.get(HISTORY + "compare/").status_code == 404


def test_the_restore_panel_shows_the_changes_before_it_restores(editor: Client, three_versions: None) -> None:
    panel = text(editor.get(HISTORY + "2/restore/", headers=HTMX))
    assert "Added</span> <strong>B</strong>" in panel
    assert 'name="base" value="3"' in panel
    assert "nothing to restore" in text(editor.get(HISTORY + "3/restore/", headers=HTMX))
    assert PolicyVersion.objects.count() == 3


def test_a_restore_by_the_page_shows_the_history_anew(editor: Client, three_versions: None) -> None:
    answer = editor.post(HISTORY + "2/restore/", {"base": "3", "comment": "Back to two"}, headers=HTMX)
    assert answer["HX-Trigger-After-Swap"] == "panel:close"
    assert "Saved as v4, with the rules of v2" in text(answer)
    assert PolicyVersion.objects.get(number=4).comment == "Back to two"


def test_a_restore_without_javascript_redirects_to_the_history(editor: Client, three_versions: None) -> None:
    assert "<!doctype html>" in text(editor.get(HISTORY + "2/restore/")).lower()
    answer = editor.post(HISTORY + "2/restore/", {"base": "3"})
    assert (answer.status_code, answer["Location"]) == (302, HISTORY)


def test_a_restore_over_a_newer_version_keeps_the_panel_open_and_explains(editor: Client, three_versions: None) -> None:
    answer = editor.post(HISTORY + "1/restore/", {"base": "2"}, headers=HTMX)
    assert answer.status_code == 409
    assert "v3 has been saved since" in text(answer)
    assert 'name="base" value="3"' in text(answer)


@pytest.mark.parametrize("kind", ["json", "yaml"])
def test_an_exported_version_reads_back_as_the_same_document(
    reader: Any, client_of: Callable[[Any], Client], three_versions: None, kind: str
) -> None:
    file = client_of(reader).get(f"{HISTORY}2/export.{kind}")
    assert file["Content-Disposition"] == f'attachment; filename="drift-policy-v2.{kind}"'
    version = PolicyVersion.objects.get(number=2)
    assert parse(file.content, kind) == version.document
    assert digest(parse(file.content, kind)) == version.digest
    assert client_of(reader).get(f"{HISTORY}2/export.exe").status_code == 404


def test_the_api_restores_a_version(admin: Any, api_of: Callable[[Any], Client], three_versions: None) -> None:
    program = api_of(admin)

    def restore(number: int, body: dict[str, Any]) -> Any:
        url = f"/api/v1/policy/versions/{number}/restore/"
        return program.post(url, json.dumps(body), content_type="application/json")

    answer = restore(2, {"base": 3, "comment": "By program"})
    assert (answer.status_code, answer.json()["number"], answer.json()["restored_from"]) == (201, 4, 2)
    assert restore(2, {"base": 4}).status_code == 200
    stale = restore(1, {"base": 3})
    assert (stale.status_code, stale.json()["code"]) == (409, "newer_version")
    assert restore(77, {"base": 4}).status_code == 404
