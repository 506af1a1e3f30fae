"""What a change does, in the words that every page shows: the rule's sentence, its fields, and where it went."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEntry
from drift.policy.actions import drafts, versions
from drift.policy.actions.proposals import comment_proposal, propose_draft
from drift.policy.domain import edits
from drift.policy.domain.rule_changes import rule_changes, summary
from drift.policy.models import PolicyProposal, PolicyVersion, ProposalComment
from drift.policy.queries.compared import compared
from drift.policy.queries.drafts import draft_state
from drift.policy.views import proposals as proposals_page
from drift.policy.views import responses
from drift.policy.views import versions as versions_page
from drift.policy.views.change_lines import change_lines
from tests.unit.drift.policy.page_client import HTMX, PAGE, send, text
from tests.unit.drift.policy.samples import document, rule

pytestmark = pytest.mark.django_db


def test_a_rule_that_was_moved_and_changed_is_one_entry() -> None:
    before = document("A", "B", "C")
    after = document(rules=[rule("C", action="alert"), rule("A"), rule("B")])
    [change] = rule_changes(before, after)
    assert (change.rule, change.kinds, change.moved) == ("c", ("moved", "changed"), (3, 1))
    assert summary([change]) == "moved C from priority 3 to 1 and changed C"


def test_each_entry_says_what_the_rule_does_and_did() -> None:
    before = document("A", "B")
    after = document(rules=[rule("A", action="alert"), rule("N")], default={"action": "alert"}, detect=["fileless"])
    lines = {line.name: line for line in change_lines(before, after)}
    assert "Such drift raises an alert." in lines["A"].sentence
    assert "Such drift is ignored." in lines["A"].was
    assert [(field.label, field.before, field.after) for field in lines["A"].fields] == [
        ("Action", "Ignore drift detection", "Drift detection alert")
    ]
    assert (lines["B"].kinds, lines["B"].place) == (["Removed"], 2)
    assert "Such drift is ignored." in lines["B"].sentence
    assert (lines["N"].kinds, lines["N"].place) == (["Added"], 2)
    assert lines["Default binary drift rule"].sentence == "Drift that no rule above decides raises an alert."
    assert lines["Detection kinds"].sentence == "Sensors report these kinds of drift: fileless."


def one_field(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, str]:
    """Return the words of the one field that differs between two rules."""
    [line] = change_lines(document(rules=[rule("A", **before)]), document(rules=[rule("A", **after)]))
    [field] = line.fields
    return field.before, field.after


def equals(*values: str) -> list[dict[str, Any]]:
    return [{"property": "image_name", "any_of": [{"operator": "equals", "value": value} for value in values]}]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"allow_list": ["a", "b"]}, {"allow_list": ["a, b"]}),
        ({"resource_scope": equals("x", "y")}, {"resource_scope": equals("x” or equals “y")}),
        (
            {"cloud_scope": [{"provider": "aws", "accounts": ["1", "2"]}]},
            {"cloud_scope": [{"provider": "aws", "accounts": ["1, 2"]}]},
        ),
        ({"note": ""}, {"note": "none"}),
    ],
)
def test_values_whose_words_are_the_same_are_told_apart(before: dict[str, Any], after: dict[str, Any]) -> None:
    was, now = one_field(before, after)
    assert was != now


@pytest.mark.parametrize(
    ("hidden", "escape"),
    [
        *(("\u200b", r"\u200b"), ("\u202e", r"\u202e"), ("\u00a0", r"\u00a0"), ("\ufeff", r"\ufeff"), ("\t", r"\t")),
        *(("\u3164", r"\u3164"), ("\ufe01", r"\ufe01"), ("\U000e0041", r"\U000e0041")),
    ],
)
def test_a_character_that_nobody_sees_is_shown_wherever_a_change_is_decided(hidden: str, escape: str) -> None:
    value = f"ng{hidden}inx"
    after = document(rules=[rule(f"A{hidden}", resource_scope=equals(value), id="a")])
    [line] = change_lines(document("A"), after)
    shown = " ".join([line.name, line.sentence, *(field.after for field in line.fields)])
    assert hidden not in shown
    assert shown.count(escape) == 5


def test_a_note_keeps_its_lines_and_shows_what_nobody_sees_in_each() -> None:
    [line] = change_lines(document("A"), document(rules=[rule("A", note="one\u3164\ntwo\u00a0\U000e0041")]))
    assert line.fields[0].after == "one\\u3164\ntwo\\u00a0\\U000e0041"


def test_the_default_rule_and_the_kinds_show_what_they_did_before() -> None:
    after = document("A", default={"action": "alert"}, detect=["fileless"])
    default, kinds = change_lines(document("A"), after)
    assert (default.was, default.sentence) == (
        "Drift that no rule above decides is ignored: it is counted, and raises no alert.",
        "Drift that no rule above decides raises an alert.",
    )
    assert kinds.was.startswith("Sensors report these kinds of drift: new file, replaced file")
    assert kinds.fields[0].after == "Fileless"


def test_a_rule_that_others_moved_around_is_not_said_to_move_to_where_it_was(
    editor: Client, admin: Any, three_rules: PolicyVersion
) -> None:
    ids = [rule["id"] for rule in three_rules.document["rules"]]
    state = drafts.change_draft(draft_state(admin), edits.reorder(ids[::-1]), "Rules reordered")
    assert "from priority 2 to 2" not in text(editor.get(f"{PAGE}review/", headers=HTMX))
    assert "at priority 2" in summary(rule_changes(state.base.document, state.document))


def test_a_change_of_the_note_alone_does_not_repeat_the_sentence() -> None:
    [line] = change_lines(document("A"), document(rules=[rule("A", note="why")]))
    assert line.was == ""
    assert line.sentence


def test_every_page_that_decides_a_change_shows_it_and_loads_its_effect(
    editor: Client, admin: Any, operator: Any, three_rules: PolicyVersion
) -> None:
    state = drafts.change_draft(draft_state(operator), edits.change_rule("b", rule("B", action="alert")))
    _, proposal = propose_draft(state)
    drafts.change_draft(draft_state(admin), edits.change_rule("b", rule("B", action="alert")))
    versions.save_document(admin, document("A", rules=[rule("A"), rule("B", action="alert"), rule("C")]), 2)
    pages = {
        "draft": "review/",
        "versions:2:3": "versions/compare/?to=3",
        "versions:3:2": "versions/2/restore/",
        f"proposal:{proposal.pk}": f"proposals/{proposal.pk}/",
    }
    for pair, path in pages.items():
        page = text(editor.get(PAGE + path, headers=HTMX))
        assert f"?of={pair.replace(':', '%3A')}" in page, pair
        assert "Such drift raises an alert." in page, pair
        assert compared(admin, pair) is not None, pair


def test_of_many_changed_rules_the_first_are_shown_in_full_and_all_by_a_link(
    editor: Client, admin: Any, queued: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions_page, "shown_rules", lambda request: None if "all" in request.GET else 1)
    versions.save_document(admin, document("A", "B"), 1)
    changed = [rule("A", action="alert"), rule("B", action="alert")]
    versions.save_document(admin, document(rules=changed, default={"action": "alert"}), 2)
    compare = f"{PAGE}versions/compare/?from=2&to=3"
    page = text(editor.get(compare, headers=HTMX))
    assert page.count("Such drift raises an alert.") == 1
    assert "<strong>B</strong>" in page
    assert "Drift that no rule above decides raises an alert." in page
    assert "3 changes; 1 rule is listed without what it does." in page
    [url] = re.findall(r'href="([^"]*all=1)"', page)
    assert url.startswith(f"{PAGE}versions/compare/?")
    whole = text(editor.get(url))
    assert whole.count("Such drift raises an alert.") == 2
    assert "all=1" not in whole


def test_all_changes_of_a_proposal_are_shown_by_its_own_page_also_after_a_comment(
    editor: Client, operator: Any, three_rules: PolicyVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposals_page, "shown_rules", lambda request: None if "all" in request.GET else 0)
    changed = drafts.change_draft(draft_state(operator), edits.change_rule("b", rule("B", action="alert")))
    _, proposal = propose_draft(changed)
    answer = text(editor.post(f"{PAGE}proposals/{proposal.pk}/comment/", {"text": "Why?"}, headers=HTMX))
    [url] = re.findall(r'href="([^"]*all=1)"', answer)
    assert "Such drift raises an alert." in text(editor.get(url))


def test_a_conflict_of_many_rules_shows_the_clashes_first(
    editor: Client, admin: Any, three_rules: PolicyVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses, "MAX_LINES", 1)
    drafts.change_draft(draft_state(admin), edits.change_rule("a", rule("A", note="x")))
    drafts.change_draft(draft_state(admin), edits.change_rule("b", rule("B", action="alert")))
    versions.save_document(admin, document(rules=[rule("A"), rule("B", action="block"), rule("C")]), 2)
    refused = text(send(editor, admin, "save/", {}))
    assert refused.count("Both changed") == 1
    assert "1 more field is below" in refused
    assert refused.partition('class="grid-scroll versus"')[2].partition("</table>")[0].count("<tr") == 2


def test_a_conflict_shows_what_both_sides_do(editor: Client, admin: Any, three_rules: PolicyVersion) -> None:
    drafts.change_draft(draft_state(admin), edits.change_rule("b", rule("B", action="alert")))
    versions.save_document(admin, document("A", "B", "C", "Theirs"), 2)
    refused = text(send(editor, admin, "save/", {}))
    assert "What your changes do" in refused
    assert "?of=draft" in refused
    assert "?of=versions%3A2%3A3" in refused


def test_an_import_is_followed_by_its_review(editor: Client, admin: Any, three_rules: PolicyVersion) -> None:
    imported = send(editor, admin, "import/", {"text": '{"schema": 1, "rules": [], "default": {"action": "alert"}}'})
    assert 'hx-get="/settings/policy/review/"' in text(imported).partition("search-form")[0]


def test_an_import_without_scripts_leads_to_its_review(editor: Client, admin: Any, three_rules: PolicyVersion) -> None:
    pasted = {"text": '{"schema": 1, "rules": [], "default": {"action": "alert"}}'}
    answer = send(editor, admin, "import/", pasted, htmx=False)
    assert answer["Location"] == f"{PAGE}review/"
    page = text(editor.get(answer["Location"]))
    assert "Imported: 0 rules" in page
    assert "Drift that no rule above decides raises an alert." in page


def test_the_default_rule_s_panel_says_what_each_action_does(
    editor: Client, admin: Any, three_rules: PolicyVersion
) -> None:
    panel = text(editor.get(f"{PAGE}rule/?rule=default", headers=HTMX))
    assert "Drift that no rule above decides raises an alert." in panel
    assert "?of=default%3Aalert" in panel
    assert "?of=default%3Aignore" not in panel


@pytest.mark.parametrize(
    "name", ["", "x", "draft:1", "versions:2", "versions:2:99", "versions:²:2", "proposal:0", "merged:1", "default:x"]
)
def test_a_pair_that_nobody_sees_is_none(admin: Any, three_rules: PolicyVersion, name: str) -> None:
    assert compared(admin, name) is None


def test_a_rebase_says_what_the_version_changed_and_selects_mine(
    editor: Client, admin: Any, three_rules: PolicyVersion
) -> None:
    drafts.change_draft(draft_state(admin), edits.change_rule("b", rule("B", action="alert")))
    versions.save_document(admin, document("Theirs", "A", "B", "C"), 2)
    rebased = text(send(editor, admin, "rebase/", {}))
    assert "Your changes now start from v3, which added Theirs at priority 1." in rebased
    assert """data-selected="["b"]" """.strip() in rebased


def test_a_newer_version_is_announced_when_it_is_saved(editor: Client, admin: Any, three_rules: PolicyVersion) -> None:
    drafts.change_draft(draft_state(admin), edits.delete_rules(["a"]))
    assert editor.get(f"{PAGE}newer/?known=2").status_code == 204
    versions.save_document(admin, document("Theirs"), 2, "Urgent")
    note = text(editor.get(f"{PAGE}newer/?known=2"))
    assert "v3 was saved" in note
    assert "Urgent" in note
    assert "Reapply my changes to v3" in note
    drafts.discard_draft(draft_state(admin))
    assert "Show v3" in text(editor.get(f"{PAGE}newer/?known=2"))
    assert editor.get(f"{PAGE}newer/?known=3").status_code == 204


@pytest.fixture
def proposed(three_rules: PolicyVersion, operator: Any) -> PolicyProposal:
    return propose_draft(drafts.change_draft(draft_state(operator), edits.delete_rules(["b"])))[1]


def test_a_proposal_says_whether_it_still_applies(editor: Client, admin: Any, proposed: PolicyProposal) -> None:
    def panel() -> str:
        return text(editor.get(f"{PAGE}proposals/{proposed.pk}/", headers=HTMX))

    assert "It started from v2, the latest version." in panel()
    versions.save_document(admin, document("A", "B", "C", "D"), 2)
    assert "v3 has been saved since. Accepting or copying" in panel()
    assert "v3 was saved since" in text(editor.get(f"{PAGE}proposals/"))
    changed = document(rules=[rule("A"), rule("B", action="alert"), rule("C")])
    versions.save_document(admin, changed, 3)
    assert "v4 changed the same fields since." in panel()
    versions.save_document(admin, document("A", "C"), 4)
    assert "v5 already has its changes." in panel()


def test_a_proposal_is_discussed(
    editor: Client, admin: Any, operator: Any, proposed: PolicyProposal, client_of: Any
) -> None:
    answer = send(editor, admin, f"proposals/{proposed.pk}/comment/", {"text": "Why <B>?"})
    assert "Why &lt;B&gt;?" in answer.content.decode()
    seen = client_of(operator).get(f"{PAGE}proposals/{proposed.pk}/")
    assert "Why &lt;B&gt;?" in seen.content.decode()
    assert send(editor, admin, f"proposals/{proposed.pk}/comment/", {"text": " "}).status_code == 422
    assert ProposalComment.objects.count() == 1
    assert AuditEntry.objects.get(verb="commented").after == {"comment": "Why <B>?"}


def test_a_reader_reads_the_discussion_and_adds_nothing(
    reader: Any, admin: Any, proposed: PolicyProposal, client_of: Any
) -> None:
    comment_proposal(admin, proposed, "Looks right")
    client = client_of(reader)
    page = client.get(f"{PAGE}proposals/{proposed.pk}/").content.decode()
    assert "Looks right" in page
    assert "Add comment" not in page
    assert client.post(f"{PAGE}proposals/{proposed.pk}/comment/", {"text": "x"}).status_code == 403
