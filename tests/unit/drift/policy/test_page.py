"""The policy page and its commands, as the browser gets them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from drift.policy.actions import drafts, versions
from drift.policy.domain import edits
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from tests.unit.drift.policy.page_client import HTMX, PAGE, names, revision, send, text
from tests.unit.drift.policy.samples import document, rule

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def test_out_of_the_box_the_list_has_two_rules_and_nothing_to_save(editor: Client) -> None:
    page = editor.get(PAGE)
    assert names(page) == ["Alert on Kube-System namespace", "Default binary drift rule"]
    assert re.search(r'id="save"[^>]* disabled>', text(page))
    assert "Azure, AWS, GCP" in text(page)


def test_a_reader_sees_the_rules_and_no_commands(reader: Any, client_of: Callable[[Any], Client]) -> None:
    page = client_of(reader).get(PAGE)
    assert len(names(page)) == 2
    assert 'id="add-rule"' not in text(page)
    for place in ("versions", "proposals", "backtests"):
        assert f'<a href="{PAGE}{place}/"' in text(page).partition("<main")[0]
    assert "Apply" not in text(client_of(reader).get(PAGE + "rule/?rule=default"))


def test_search_without_javascript_finds_rule_and_scope_names(editor: Client, three_rules: PolicyVersion) -> None:
    assert names(editor.get(PAGE + "?q=scope of b")) == ["B"]
    assert names(editor.get(PAGE + "?q=nothing")) == []


@pytest.mark.parametrize(
    ("do", "chosen", "expected"),
    [
        ("delete", ["a", "c"], ["B"]),
        ("duplicate", ["b"], ["A", "B", "Copy of B", "C"]),
        ("up", ["c"], ["A", "C", "B"]),
        ("down", ["a"], ["B", "A", "C"]),
    ],
)
def test_a_command_changes_the_selected_rules_of_the_draft(
    editor: Client, admin: Any, three_rules: PolicyVersion, do: str, chosen: list[str], expected: list[str]
) -> None:
    answer = send(editor, admin, "command/", {"do": do, "rule": chosen})
    assert names(answer)[:-1] == expected
    assert "since v2" in text(answer)
    assert PolicyVersion.objects.count() == 2


def test_a_disabled_rule_is_marked(editor: Client, admin: Any, three_rules: PolicyVersion) -> None:
    assert "Disabled" in text(send(editor, admin, "command/", {"do": "disable", "rule": "b"}))
    assert "Disabled" not in text(send(editor, admin, "command/", {"do": "enable", "rule": "b"}))


def test_a_command_without_javascript_redirects_to_the_page(
    editor: Client, admin: Any, three_rules: PolicyVersion
) -> None:
    answer = send(editor, admin, "command/", {"do": "delete", "rule": "b"}, htmx=False)
    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    assert "1 rule deleted" in text(editor.get(PAGE))
    assert send(editor, admin, "command/", {"do": "edit", "rule": "a"}, htmx=False)["Location"] == PAGE + "rule/?rule=a"


def test_a_reorder_returns_only_the_new_revision(editor: Client, admin: Any, three_rules: PolicyVersion) -> None:
    answer = send(editor, admin, "order/", {"order": ["c", "a", "b"]})
    assert names(answer) == []
    assert f'value="{revision(admin)}"' in text(answer)
    assert names(editor.get(PAGE))[:-1] == ["C", "A", "B"]


def test_priorities_follow_the_order_however_often_a_row_was_shown(
    editor: Client, admin: Any, three_rules: PolicyVersion
) -> None:
    def priorities() -> list[str]:
        return re.findall(r'class="priority">(\d+)<', text(editor.get(PAGE)))

    assert priorities() == ["1", "2", "3", "4"]
    send(editor, admin, "order/", {"order": ["c", "a", "b"]})
    assert priorities() == ["1", "2", "3", "4"]


def test_a_rule_name_is_never_markup(editor: Client, admin: Any, queued: list[Any]) -> None:
    odd = document("<b>{place}</b>")
    odd["rules"][0] |= {"id": '"><i>', "scope_description": "<i>{}</i>"}
    versions.save_document(admin, odd, 1)
    page = editor.get(PAGE).content.decode()
    assert "<b>" not in page and "<i>" not in page
    assert "&lt;b&gt;{place}&lt;/b&gt;" in page


@pytest.mark.parametrize("order", [["a", "b"], ["a", "b", "c", "d"], ["a", "a", "b"]])
def test_an_order_that_does_not_match_is_rejected(
    editor: Client, admin: Any, three_rules: PolicyVersion, order: list[str]
) -> None:
    answer = send(editor, admin, "order/", {"order": order})
    assert (answer.status_code, answer["HX-Retarget"]) == (409, "#policy")
    assert names(answer)[:-1] == ["A", "B", "C"]


@pytest.mark.parametrize("stale", ["", "nonsense", "1.0", "2.7", "2.99999999999999999999"])
def test_a_stale_window_gets_an_explanation_and_the_stored_rules(
    editor: Client, admin: Any, three_rules: PolicyVersion, stale: str
) -> None:
    send(editor, admin, "command/", {"do": "delete", "rule": "b"})
    for path, data in (
        ("command/", {"do": "delete", "rule": "a"}),
        ("order/", {"order": ["c", "a"]}),
        ("discard/", {}),
        ("save/", {}),
    ):
        answer = editor.post(PAGE + path, {**data, "revision": stale}, headers=HTMX)
        assert (path, answer.status_code, names(answer)[:-1]) == (path, 409, ["A", "C"])
        assert "changed in another window" in text(answer)


def test_a_stale_panel_comes_back_with_what_was_chosen_and_the_new_revision(
    editor: Client, admin: Any, three_rules: PolicyVersion
) -> None:
    send(editor, admin, "command/", {"do": "delete", "rule": "b"})
    for path, data, kept in (
        ("default/", {"action": "alert"}, '<option value="alert" selected>'),
        ("detect/", {"kind": "fileless"}, 'value="fileless" checked'),
        ("move/", {"rule": "c", "position": "1"}, 'value="1" inputmode'),
    ):
        answer = editor.post(PAGE + path, {**data, "revision": "stale"}, headers=HTMX)
        assert (path, answer.status_code, answer.get("HX-Retarget")) == (path, 409, None)
        assert "Everything you typed is still here" in text(answer)
        assert kept in text(answer)
        assert f'name="revision" value="{draft_state(admin).draft_revision}"' in text(answer)


def test_only_the_default_rules_action_changes(editor: Client, admin: Any) -> None:
    assert "Drift detection alert" in text(send(editor, admin, "default/", {"action": "alert"}))
    assert send(editor, admin, "default/", {"action": "stop"}).status_code == 422
    assert draft_state(admin).document["default"] == {"action": "alert"}


def test_detection_kinds_are_part_of_the_draft(editor: Client, admin: Any) -> None:
    assert text(editor.get(PAGE + "detect/", headers=HTMX)).count(" checked>") == 9
    send(editor, admin, "detect/", {"kind": ["new_file", "interpreter"]})
    assert draft_state(admin).document["detect"] == ["new_file", "interpreter"]
    assert send(editor, admin, "detect/", {"kind": ["telepathy"]}).status_code == 422


def test_review_names_each_change_and_field(editor: Client, admin: Any, three_rules: PolicyVersion) -> None:
    typed = {"rule_id": "a", "name": "A", "action": "block", "scope_description": "Scope of A", "scope": "azure:s1"}
    send(editor, admin, "rule/apply/", {**typed, "enabled": "on"})
    send(editor, admin, "command/", {"do": "delete", "rule": "c"})
    review = text(editor.get(PAGE + "review/", headers=HTMX))
    for words in ("Removed", "Changed", "Drift detection blocking", "azure: s1"):
        assert words in review


def test_save_makes_a_version_and_reports_it(editor: Client, admin: Any, queued: list[Any]) -> None:
    send(editor, admin, "default/", {"action": "alert"})
    refused = send(editor, admin, "save/", {"comment": "Careful\0ly"})
    assert refused.status_code == 422
    assert "Character 8 is not allowed" in text(refused)
    answer = send(editor, admin, "save/", {"comment": "Carefully"})
    assert "Saved as v2" in text(answer)
    assert PolicyVersion.objects.get(number=2).comment == "Carefully"
    assert "Nothing to save" in text(send(editor, admin, "save/", {}))


def test_save_over_a_newer_version_shows_three_ways(editor: Client, admin: Any, owner: Any, queued: list[Any]) -> None:
    send(editor, admin, "default/", {"action": "alert"})
    versions.save_document(owner, document("Theirs"), 1)
    answer = send(editor, admin, "save/", {})
    assert answer.status_code == 409
    for words in ("v2 has been saved since", "Theirs", "Default binary drift rule", "Discard my changes and show v2"):
        assert words in text(answer)
    assert [(line.name, line.base, line.theirs, line.yours) for line in answer.context["lines"]] == [
        ("Alert on Kube-System namespace", "there", "deleted", ""),
        ("Theirs", "–", "added", ""),
        ("Default binary drift rule", "Ignore drift detection", "", "Drift detection alert"),
    ]
    assert names(send(editor, admin, "discard/", {}))[0] == "Theirs"


def test_a_rule_that_both_added_under_one_id_is_shown_as_a_clash(
    editor: Client, admin: Any, owner: Any, queued: list[Any]
) -> None:
    taken_in = [edits.add_rule(rule("Shared", note=note)) for note in ("mine", "theirs")]
    drafts.change_draft(draft_state(admin), taken_in[0])
    versions.save_document(owner, taken_in[1](draft_state(owner).document), 1)
    answer = send(editor, admin, "save/", {})
    clashes = [(line.name, line.label, line.theirs, line.yours) for line in answer.context["lines"] if line.is_clash]
    assert clashes == [("Shared", "Note", "theirs", "mine")]
    assert "Both changed" in text(answer)
    assert "Shared: note also changed since: your change is kept" in text(send(editor, admin, "rebase/", {}))


def test_changes_are_reapplied_to_a_newer_version(editor: Client, admin: Any, owner: Any, queued: list[Any]) -> None:
    send(editor, admin, "default/", {"action": "alert"})
    theirs = document("Theirs", detect=["new_file"])
    versions.save_document(owner, theirs, 1)
    answer = send(editor, admin, "rebase/", {})
    assert names(answer) == ["Theirs", "Default binary drift rule"]
    assert "1 change since v2" in text(answer)
    assert draft_state(admin).document == {**theirs, "default": {"action": "alert"}}


def test_the_page_takes_the_same_few_queries_for_any_number_of_rules(
    editor: Client, admin: Any, queued: list[Any], django_assert_max_num_queries: Any
) -> None:
    versions.save_document(admin, document(*(f"Rule {number}" for number in range(200))), 1)
    editor.get(PAGE)
    with django_assert_max_num_queries(6):
        assert len(names(editor.get(PAGE))) == 201


def test_names_are_escaped(editor: Client, admin: Any, queued: list[Any]) -> None:
    hostile = '<script>alert("x")</script>'
    versions.save_document(admin, document(hostile), 1)
    for path in ("", "rule/?rule=" + document(hostile)["rules"][0]["id"]):
        assert b"<script>alert" not in editor.get(PAGE + path).content


def test_shadowed_rules_are_returned_with_the_rule_that_shadows_them(
    reader: Any, client_of: Callable[[Any], Client], editor: Client, admin: Any, three_rules: PolicyVersion
) -> None:
    assert client_of(reader).get(PAGE + "marks/").json() == {
        "shadowed": {"b": {"by": "a", "name": "A"}, "c": {"by": "a", "name": "A"}},
        "lint": {},
    }
    send(editor, admin, "command/", {"do": "disable", "rule": "a"})
    assert editor.get(PAGE + "marks/").json()["shadowed"] == {"c": {"by": "b", "name": "B"}}
