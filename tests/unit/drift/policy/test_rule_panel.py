"""The panel of one rule, as the browser gets it: show, check, apply."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from drift.policy.actions import versions
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from tests.unit.drift.policy.page_client import HTMX, PAGE, names, revision, send, text
from tests.unit.drift.policy.samples import document
from tests.unit.drift.policy.test_rule_form import PICTURE_FIVE

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def test_a_rule_is_applied_to_the_draft_above_the_default_rule(
    editor: Client, admin: Any, three_rules: PolicyVersion
) -> None:
    answer = editor.post(
        PAGE + "rule/apply/",
        f"{PICTURE_FIVE}&rule_id=&revision={revision(admin)}",
        content_type="application/x-www-form-urlencoded",
        headers=HTMX,
    )
    assert (answer.status_code, answer["HX-Retarget"], answer["HX-Trigger-After-Swap"]) == (
        200,
        "#policy",
        "panel:close",
    )
    assert names(answer)[-2:] == ["Rule 1", "Default binary drift rule"]
    assert "Ignore 1 process, alert on others" in text(answer)


def test_applying_a_rule_reads_the_draft_once(
    editor: Client, admin: Any, three_rules: PolicyVersion, django_assert_num_queries: Any
) -> None:
    send(editor, admin, "command/", {"do": "delete", "rule": "b"})
    typed = {"rule_id": "a", "name": "New", "action": "alert", "scope_description": "S", "scope": "azure"}
    data = {"revision": revision(admin), **typed}
    with django_assert_num_queries(8) as queries:  # with the step that an undo takes back
        assert editor.post(PAGE + "rule/apply/", data, headers=HTMX).status_code == 200
    assert sum('FROM "policy_policydraft"' in query["sql"] for query in queries) == 1


def test_an_incomplete_rule_comes_back_with_its_errors(editor: Client, admin: Any) -> None:
    answer = send(editor, admin, "rule/apply/", {"name": "Only a name", "action": "alert"})
    assert answer.status_code == 422
    assert 'value="Only a name"' in text(answer)
    assert "At least one item must be selected" in text(answer)
    assert not draft_state(admin).is_dirty


def test_applying_to_a_stale_draft_loses_nothing_typed(editor: Client, admin: Any, three_rules: PolicyVersion) -> None:
    typed = {"rule_id": "a", "name": "New name", "action": "alert", "scope_description": "S", "scope": "azure"}
    old = revision(admin)
    send(editor, admin, "command/", {"do": "delete", "rule": "b"})
    answer = editor.post(PAGE + "rule/apply/", {**typed, "revision": old}, headers=HTMX)
    assert answer.status_code == 409
    assert 'value="New name"' in text(answer)
    assert f'name="revision" value="{revision(admin)}"' in text(answer)
    assert send(editor, admin, "rule/apply/", typed).status_code == 200


def test_applying_to_a_deleted_rule_offers_to_add_it_again(
    editor: Client, admin: Any, three_rules: PolicyVersion
) -> None:
    send(editor, admin, "command/", {"do": "delete", "rule": "a"})
    typed = {"rule_id": "a", "name": "A", "action": "alert", "scope_description": "S", "scope": "azure"}
    answer = send(editor, admin, "rule/apply/", typed)
    assert answer.status_code == 409
    assert "Apply adds it as a new one" in text(answer)
    assert 'name="rule_id" value=""' in text(answer)


def test_the_panel_opens_in_the_page_without_javascript(editor: Client, three_rules: PolicyVersion) -> None:
    page = editor.get(PAGE + "rule/?rule=a")
    assert "Edit binary drift Rule" in text(page)
    assert len(names(page)) == 4
    assert "Add new containers binary drift rule" in text(editor.get(PAGE + "rule/new/"))
    assert editor.get(PAGE + "rule/?rule=gone").status_code == 404


def test_a_builder_button_without_javascript_changes_the_panel(editor: Client, admin: Any) -> None:
    answer = send(editor, admin, "rule/apply/", {"name": "N", "step": "add-condition:resource_scope"}, htmx=False)
    assert answer.status_code == 200
    assert 'name="resource_scope.0.0.value"' in text(answer)
    assert not draft_state(admin).is_dirty


def test_the_check_returns_errors_or_plain_words(editor: Client) -> None:
    empty = editor.post(PAGE + "rule/check/", {"action": "alert"}).json()
    assert (empty["words"], "name" in empty["errors"]) == ("", True)
    good = editor.post(PAGE + "rule/check/", PICTURE_FIVE, content_type="application/x-www-form-urlencoded").json()
    assert (good["errors"], good["cloud_scope"]) == ({}, "Azure")
    assert "dev1.exe" in good["words"]


def test_an_allow_list_entry_that_is_only_a_name_has_a_warning(
    editor: Client, admin: Any, three_rules: PolicyVersion
) -> None:
    listed = document("A")
    listed["rules"][0]["allow_list"] = ["dev1.exe", "/usr/bin/dev2", "sha256:" + "0" * 64]
    versions.save_document(admin, listed, 2)
    shown = text(editor.get(PAGE + "rule/?rule=a", headers=HTMX))
    warnings = re.findall(r'class="name-only"([^>]*)>', shown)
    assert ["hidden" in each for each in warnings] == [False, True, True, True]
    assert 'aria-describedby="name-only-0"' in shown
