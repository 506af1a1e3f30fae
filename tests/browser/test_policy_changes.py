"""What a change does, where it is decided: review, conflict, proposal, the default rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.policy.actions import drafts, versions
from drift.policy.actions.proposals import propose_draft
from drift.policy.domain import edits
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from tests.browser.rules import PAGE, expect_names, look
from tests.unit.drift.backtest.conftest import cluster, store  # noqa: F401 - fixtures
from tests.unit.drift.policy.samples import document, rule

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

QUIET = [{"property": "namespace", "any_of": [{"operator": "equals", "value": "kube-system"}]}]


def test_a_review_and_a_proposal_show_each_rule_s_effect(
    open_as: Callable[..., Page],
    admin: Any,
    operator: Any,
    queued: list[Any],
    store: Callable[..., Any],  # noqa: F811 - the fixture
) -> None:
    store("kube-system", "/tmp/tool", count=3)
    [alerting] = draft_state(admin).document["rules"]
    edit = edits.add_rule(rule("Quiet", cloud_scope=alerting["cloud_scope"], resource_scope=QUIET))
    first = drafts.change_draft(draft_state(operator), edit)
    added = first.document["rules"][-1]["id"]
    moved = drafts.change_draft(first, edits.reorder([added, alerting["id"]]))
    page = open_as(operator, PAGE)
    page.get_by_role("link", name="Review").click()
    panel = page.get_by_role("dialog")
    expect(panel.locator(".effect-total")).to_contain_text("1 alert would disappear")
    expect(panel.locator(".change-effect")).to_contain_text("its scope matches 1 of 1 workload")
    look(page, "review-effect")

    _, proposal = propose_draft(moved)
    page = open_as(admin, f"{PAGE}proposals/{proposal.pk}/")
    panel = page.get_by_role("dialog")
    expect(panel).to_contain_text("It started from v1, the latest version.")
    expect(panel.locator(".change-effect")).to_contain_text("decides 0 → 3 executions")
    panel.get_by_label("Comment", exact=True).fill("Is this the whole namespace?")
    panel.get_by_role("button", name="Add comment").click()
    expect(panel.locator(".comments")).to_contain_text("Is this the whole namespace?")
    expect(panel.get_by_role("button", name="Backtest on the last 7 days")).to_be_visible()
    look(page, "proposal-discussed")


def test_a_newer_version_is_announced_and_my_changes_go_below_it_selected(
    open_as: Callable[..., Page], admin: Any, owner: Any, queued: list[Any]
) -> None:
    versions.save_document(admin, document("A", "B"), 1)
    drafts.change_draft(draft_state(admin), edits.add_rule(rule("Mine")))
    page = open_as(admin, PAGE)
    expect_names(page, "A", "B", "Mine")
    versions.save_document(owner, document("A", "B", "Theirs"), 2, "Second")
    expect(page.locator("#newer")).to_contain_text("v3 was saved by Owner: Second")
    look(page, "newer-version")
    page.get_by_role("button", name="Reapply my changes to v3").click()
    expect_names(page, "A", "B", "Theirs", "Mine")
    expect(page.locator("#messages")).to_contain_text("which added Theirs at priority 3")
    expect(page.locator("#rule-rows tr.selected .name a")).to_have_text(["Mine"])


def test_a_conflict_and_the_default_rule_show_what_they_do(
    open_as: Callable[..., Page], admin: Any, owner: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="Default binary drift rule").click()
    panel = page.get_by_role("dialog")
    expect(panel).to_contain_text("0 would appear")
    look(page, "default-panel")
    panel.get_by_label("Action").select_option("alert")
    panel.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("1 change since v2")).to_be_visible()
    versions.save_document(owner, document("Theirs"), 2)
    page.locator("#save").click()
    page.get_by_text("What your changes do").click()
    expect(page.locator("#refusal")).to_contain_text("Drift that no rule above decides raises an alert.")
    expect(page.locator("#refusal .effect-total").first).to_contain_text("would appear")
    look(page, "conflict")


def test_lines_and_blanks_are_seen_where_they_are_the_change(
    open_as: Callable[..., Page], admin: Any, queued: list[Any]
) -> None:
    versions.save_document(admin, document(rules=[rule("A", note="one two  three")]), 1)
    drafts.change_draft(draft_state(admin), edits.change_rule("a", rule("A", note="one\ntwo three")))
    page = open_as(admin, f"{PAGE}review/")
    field = page.get_by_role("dialog").locator(".changes dd")
    assert field.locator("del").inner_text() == "one two  three"
    assert field.locator("ins").inner_text() == "one\ntwo three"


def test_long_changes_begin_at_their_top_and_a_comment_leaves_the_discussion_in_view(
    open_as: Callable[..., Page], admin: Any, operator: Any, queued: list[Any]
) -> None:
    many = document(*(f"Rule {number}" for number in range(40)))
    versions.save_document(admin, many, 1)
    versions.save_document(admin, document("A"), 2)
    _, proposal = propose_draft(drafts.change_draft(draft_state(operator), edits.replace_document(many)))
    for path in (f"{PAGE}versions/2/restore/", f"{PAGE}proposals/{proposal.pk}/"):
        page = open_as(admin, path, viewport={"width": 390, "height": 844})
        panel = page.get_by_role("dialog")
        expect(panel.locator("#panel-title")).to_be_focused()
        expect(panel.locator(".change-effect").first).to_contain_text("executions")
        expect(panel.locator(".effect-total")).to_be_in_viewport()
    panel.get_by_label("Comment", exact=True).fill("Why all of them?")
    panel.get_by_role("button", name="Add comment").click()
    expect(panel.locator(".comments")).to_contain_text("Why all of them?")
    expect(panel.get_by_label("Comment", exact=True)).to_be_focused()
    expect(panel.locator(".comments li").last).to_be_in_viewport()
