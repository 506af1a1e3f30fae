"""Values that never match, where people meet them: panel, list, review, import, API and command line."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.http import QueryDict
from django.test import Client

from drift.policy.actions import versions
from drift.policy.forms.rule import read_rule, read_rule_form
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from tests.unit.drift.policy.page_client import HTMX, PAGE, revision, send, text
from tests.unit.drift.policy.samples import document, rule

pytestmark = [pytest.mark.services, pytest.mark.django_db]
TYPED = {"rule_id": "", "name": "New", "action": "ignore", "scope_description": "S", "scope": "azure", "enabled": "on"}


def namespace(value: str, operator: str = "equals") -> dict[str, str]:
    place = "resource_scope.0"
    return {f"{place}.property": "namespace", f"{place}.0.operator": operator, f"{place}.0.value": value}


def listing(*entries: str) -> dict[str, Any]:
    return rule("A", allow_list=list(entries))


def test_the_panel_trims_values_and_entries() -> None:
    data = QueryDict(mutable=True)
    data.update(TYPED | namespace(" kube-system ") | {"allow_list": "\tdev1.exe "})
    read = read_rule(data)
    assert read["resource_scope"][0]["any_of"] == [{"operator": "equals", "value": "kube-system"}]
    assert read["allow_list"] == ["dev1.exe"]


def test_opening_a_rule_and_applying_it_keeps_a_stored_blank() -> None:
    stored = {**document("A")["rules"][0], "allow_list": ["dev1.exe "]}
    data = QueryDict("allow_list=dev1.exe+&allow_list=dev2.exe+")
    assert read_rule(data, stored)["allow_list"] == ["dev1.exe ", "dev2.exe"]


def test_the_check_has_the_error_of_an_impossible_value_and_what_was_meant(editor: Client) -> None:
    checked = editor.post(PAGE + "rule/check/", TYPED | namespace("kube-*")).json()
    place = "resource_scope[0].any_of[0].value"
    assert checked["errors"] == {place: "Only the operator Matches knows wildcards."}
    assert checked["lint"][place] == {
        "place": place,
        "warning": "",
        "suggestion": "Starts with “kube-”",
        "step": f"suggestion:{place}",
    }


def test_an_impossible_value_stops_its_own_rule_and_no_other(editor: Client, admin: Any) -> None:
    assert send(editor, admin, "rule/apply/", TYPED | namespace("kube-*")).status_code == 422
    dead = {**document("A", "B")}
    dead["rules"][0]["resource_scope"] = [
        {"property": "namespace", "any_of": [{"operator": "equals", "value": "kube-*"}]}
    ]
    versions.save_document(admin, dead, draft_state(admin).base.number)
    assert send(editor, admin, "rule/apply/", TYPED | namespace("kube-system")).status_code == 200
    assert send(editor, admin, "command/", {"do": "disable", "rule": "a"}).status_code == 200
    assert (
        send(editor, admin, "rule/apply/", {**TYPED, "rule_id": "a", "name": "A"} | namespace("kube-*")).status_code
        == 422
    )


def test_a_stored_rule_with_an_impossible_value_can_be_moved_disabled_and_deleted(editor: Client, admin: Any) -> None:
    impossible = [{"property": "namespace", "any_of": [{"operator": "equals", "value": "kube-*"}]}]
    versions.save_document(
        admin, document(rules=[rule("A", resource_scope=impossible), rule("B")]), draft_state(admin).base.number
    )
    for command, left in (("bottom", ["b", "a"]), ("disable", ["b", "a"]), ("delete", ["b"])):
        assert send(editor, admin, "command/", {"do": command, "rule": "a"}).status_code == 200
        assert [each["id"] for each in draft_state(admin).document["rules"]] == left


def test_a_suspicious_value_is_a_warning_and_can_be_applied(editor: Client, admin: Any) -> None:
    typed = TYPED | {"allow_list": "python3 app.py"}
    checked = editor.post(PAGE + "rule/check/", typed).json()
    assert (checked["errors"], checked["lint"]["allow_list[0]"]["suggestion"]) == ({}, "python3")
    assert send(editor, admin, "rule/apply/", typed).status_code == 200


def test_one_click_takes_the_suggestion_with_and_without_javascript(editor: Client, admin: Any) -> None:
    step = {"step": "suggestion:resource_scope[0].any_of[0].value"}
    for htmx in (True, False):
        answer = send(editor, admin, "rule/apply/", TYPED | namespace("kube-*") | step, htmx=htmx)
        assert answer.status_code == 200
        assert 'value="kube-"' in text(answer)
        assert '<option value="starts_with" selected>' in text(answer)
    assert not draft_state(admin).is_dirty


def test_a_suggestion_of_two_labels_becomes_two_conditions() -> None:
    data = QueryDict(mutable=True)
    place = "resource_scope.0"
    data.update({f"{place}.property": "pod_labels", f"{place}.0.operator": "equals", f"{place}.0.value": "a=b,c=d"})
    data["step"] = "suggestion:resource_scope[0].any_of[0].value"
    form = read_rule_form(data, document())
    assert [each["any_of"][0]["value"] for each in form.rule["resource_scope"]] == ["a=b", "c=d"]


def test_a_stored_rule_shows_its_findings_when_it_is_opened(editor: Client, admin: Any) -> None:
    versions.save_document(
        admin, {**document(), "rules": [listing("/tmp/*", "/opt/app/")]}, draft_state(admin).base.number
    )
    shown = text(editor.get(PAGE + "rule/?rule=a", headers=HTMX))
    assert "glob:/tmp/*" in shown
    assert "This is a directory: it matches no file in it." in shown
    assert 'value="suggestion:allow_list[1]"' in shown


def test_the_list_marks_rules_with_values_that_hardly_match(editor: Client, admin: Any) -> None:
    versions.save_document(
        admin, {**document("B"), "rules": [rule("B"), listing("/tmp/*")]}, draft_state(admin).base.number
    )
    assert editor.get(PAGE + "marks/").json()["lint"] == {
        "a": ["Allow list “/tmp/*”: Wildcards are compared as they are: a pattern begins with glob:/."]
    }


def test_the_review_names_the_values_of_changed_rules_alone(editor: Client, admin: Any) -> None:
    versions.save_document(admin, {**document(), "rules": [listing("/tmp/*")]}, draft_state(admin).base.number)
    send(editor, admin, "rule/apply/", TYPED | {"allow_list": "*.sh"})
    shown = text(editor.get(PAGE + "review/", headers=HTMX))
    assert "Allow list “*.sh”" in shown
    assert "/tmp/*" not in shown


def test_an_import_takes_the_document_as_it_is_and_warns(editor: Client, admin: Any) -> None:
    pasted = json.dumps({**document(), "rules": [listing("dev1.exe ")]})
    answer = send(editor, admin, "import/", {"text": pasted})
    assert "A: Allow list “dev1.exe ”: It begins or ends with a blank." in text(answer)
    assert draft_state(admin).document["rules"][0]["allow_list"] == ["dev1.exe "]


def test_the_api_warns_and_changes_nothing(editor: Client, admin: Any) -> None:
    dead = {**document(), "rules": [listing("dev1.exe ")]}
    checked = editor.post("/api/v1/policy/check/", {"document": dead}, content_type="application/json").json()
    expected = {
        "rule": "A",
        "index": 0,
        "field": "allow_list[0]",
        "level": "warning",
        "message": "It begins or ends with a blank.",
        "suggestion": {"words": "dev1.exe", "entries": ["dev1.exe"]},
    }
    assert checked == {"faults": [], "warnings": [expected]}
    body = {"base": draft_state(admin).base.number, "document": dead}
    saved = editor.post("/api/v1/policy/versions/", body, content_type="application/json")
    assert (saved.status_code, saved.json()["warnings"]) == (201, [expected])
    assert PolicyVersion.objects.latest("number").document["rules"][0]["allow_list"] == ["dev1.exe "]
    assert editor.get("/api/v1/policy/draft/").json()["warnings"] == [expected]


def test_the_command_prints_warnings_and_with_strict_fails(tmp_path: Path, admin: Any) -> None:
    file = tmp_path / "policy.json"
    file.write_text(json.dumps({**document(), "rules": [listing("dev1.exe ")]}))
    out = io.StringIO()
    call_command("policy", "check", str(file), stdout=out)
    assert "A: allow_list[0]: warning: It begins or ends with a blank. Did you mean dev1.exe?" in out.getvalue()
    assert "Valid. 1 rules" in out.getvalue()
    with pytest.raises(SystemExit) as stopped:
        call_command("policy", "check", str(file), "--strict", stdout=out)
    assert stopped.value.code == 1
    err = io.StringIO()
    base = str(draft_state(admin).base.number)
    call_command("policy", "import", str(file), "--base", base, "--user", admin.email, stdout=out, stderr=err)
    assert "It begins or ends with a blank." in err.getvalue()


def test_a_rule_with_the_revision_of_before_is_still_refused(editor: Client, admin: Any) -> None:
    old = revision(admin)
    send(editor, admin, "rule/apply/", TYPED)
    step = {"step": "suggestion:allow_list[0]", "revision": old, "allow_list": "/tmp/*"}
    answer = editor.post(PAGE + "rule/apply/", TYPED | step, headers=HTMX)
    assert (answer.status_code, 'value="glob:/tmp/*"' in text(answer)) == (200, True)
