"""The panel of a rule in a real browser: picture 5, errors, cloud scope, warnings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.fleet.models import Environment
from drift.policy.actions import drafts, versions
from drift.policy.domain import edits
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from tests.browser.rules import PAGE, drag, expect_names, fill_picture_five, row
from tests.unit.drift.policy.samples import document

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_rule_of_picture_five_is_added_moved_to_the_top_and_saved(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    drafts.change_draft(draft_state(admin), edits.delete_rules(["rule-1"]))
    page = open_as(admin, PAGE)
    page.get_by_role("button", name="Add rule").click()
    panel = page.get_by_role("dialog", name="Add new containers binary drift rule")
    apply = panel.locator("#apply")
    expect(apply).to_be_disabled()
    expect(panel.get_by_text("Required", exact=True)).to_have_count(2)
    expect(panel.get_by_text("At least one item must be selected")).to_be_visible()

    fill_picture_five(page)
    expect(page.locator("#scope-summary")).to_have_text("Azure")
    expect(page.locator("#words")).to_contain_text("dev1.exe")
    expect(page.locator("[data-entry]")).to_have_count(2)
    expect(apply).to_be_enabled()
    apply.click()
    expect(panel).to_have_count(0)
    others = [f"Rule {number}" for number in range(2, 10)]
    expect_names(page, *others, "Rule 1")
    expect(row(page, "Rule 1")).to_contain_class("selected")

    drag(page, "Rule 1", "Rule 2", above=True)
    expect_names(page, "Rule 1", *others)
    expect(page.locator("#status")).to_have_text("Rule 1 moved to priority 1 of 9")
    expect(row(page, "Rule 1")).to_have_class("rule selected")

    page.get_by_label("Comment on this version").fill("Picture five")
    page.locator("#save").click()
    expect(page.get_by_text("Saved as v3")).to_be_visible()
    expect(page.locator("#save")).to_be_disabled()
    saved = PolicyVersion.objects.get(number=3)
    assert saved.comment == "Picture five"
    rule = saved.document["rules"][0]
    assert rule | {"id": ""} == {
        "id": "",
        "name": "Rule 1",
        "action": "ignore",
        "scope_description": "Scope1",
        "cloud_scope": [{"provider": "azure"}],
        "resource_scope": [
            {
                "property": "image_name",
                "any_of": [
                    {"operator": "starts_with", "value": "Test123"},
                    {"operator": "starts_with", "value": "env123"},
                ],
            }
        ],
        "allow_list": ["dev1.exe"],
        "enabled": True,
        "unlisted": "decide",
        "process_scope": [],
        "expires_at": None,
        "note": "",
    }

    page.get_by_role("link", name="Rule 1", exact=True).click()
    edit = page.get_by_role("dialog", name="Edit binary drift Rule")
    expect(edit.get_by_label("Value", exact=True)).to_have_count(2)
    expect(edit.get_by_label("Process 1")).to_have_value("dev1.exe")


def test_errors_are_shown_beside_their_fields_until_corrected(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="Rule 1", exact=True).click()
    name = page.get_by_role("dialog").get_by_label("Rule name")
    expect(name).to_be_focused()
    name.fill("rule 2")
    expect(page.locator("#e-name")).to_have_text("Another rule has this name")
    expect(page.locator("#apply")).to_be_disabled()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    name.fill("Rule 1")
    entry = page.get_by_label("Another process")
    entry.fill("bin/sh")
    expect(page.locator("[data-entry]").first.locator(".field-error")).to_contain_text("file name without /")
    page.get_by_label("Process 1").fill("/bin/sh")
    expect(page.locator("#apply")).to_be_enabled()
    page.get_by_role("button", name="Remove /bin/sh").click()
    expect(page.locator("[data-entry]")).to_have_count(1)
    page.get_by_role("button", name="+ Add condition").first.click()
    expect(page.locator("#apply")).to_be_disabled()
    page.get_by_role("button", name="Remove", exact=True).first.click()
    expect(page.locator("#apply")).to_be_enabled()
    page.get_by_label("Scope description").fill("Mended")
    page.locator("#apply").click()
    expect(row(page, "Rule 1")).to_contain_text("Mended")
    expect(page.get_by_role("link", name="Rule 1", exact=True)).to_be_focused()


def test_escape_confirms_before_changes_are_lost_and_restores_the_focus(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    answers = iter([False, True])
    page.on("dialog", lambda dialog: dialog.accept() if next(answers) else dialog.dismiss())
    link = page.get_by_role("link", name="Rule 5", exact=True)
    link.click()
    page.get_by_label("Scope description").fill("Changed")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Scope description")).to_have_value("Changed")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(link).to_be_focused()


FOCUS_ELSEWHERE = """document.addEventListener("htmx:afterSwap", ({ target }) => {
  if (target.id === "panel") setTimeout(() => document.querySelector("#entries input").focus());
})"""


def test_an_opened_panel_leaves_the_focus_where_the_user_has_put_it(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    page.evaluate(FOCUS_ELSEWHERE)
    page.get_by_role("link", name="Rule 1", exact=True).click()
    expect(page.get_by_label("Another process")).to_be_focused()
    page.wait_for_timeout(200)
    expect(page.get_by_label("Another process")).to_be_focused()


def test_the_cloud_scope_offers_the_estate_and_keeps_unknown_accounts(
    open_as: Callable[..., Page], admin: Any, queued: list[Any]
) -> None:
    for number in (1, 2):
        Environment.objects.create(provider="aws", account=f"acc-{number}", name=f"Account {number}")
    known = document("A")
    known["rules"][0]["cloud_scope"] = [{"provider": "aws", "accounts": ["acc-2", "gone"]}]
    versions.save_document(admin, known, 1)
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="A", exact=True).click()
    expect(page.locator("#scope-summary")).to_have_text("2 AWS accounts")
    page.locator("summary#f-scope").click()
    expect(page.get_by_label("Account 2")).to_be_checked()
    expect(page.get_by_label("gone")).to_be_checked()
    page.get_by_label("Account 1").check()
    expect(page.locator("#scope-summary")).to_have_text("3 AWS accounts")
    page.get_by_label("AWS", exact=True).check()
    expect(page.locator("#scope-summary")).to_have_text("AWS")
    expect(page.get_by_label("Account 1")).to_be_disabled()


def test_apply_works_without_javascript(open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion) -> None:
    page = open_as(admin, PAGE, java_script_enabled=False)
    page.get_by_role("button", name="Add rule").click()
    page.get_by_role("dialog").get_by_label("Rule name").fill("Plain")
    page.get_by_label("Scope description").fill("By hand")
    page.locator("summary#f-scope").click()
    page.get_by_label("Azure", exact=True).check()
    page.get_by_role("button", name="+ Add condition").first.click()
    page.get_by_label("Value", exact=True).fill("nginx")
    page.locator("#apply").click()
    expect_names(page, *(f"Rule {number}" for number in range(1, 10)), "Plain")
    added = draft_state(admin).document["rules"][-1]
    assert added["resource_scope"][0]["any_of"] == [{"operator": "starts_with", "value": "nginx"}]


def test_the_panel_warns_about_entries_that_are_only_a_name(
    open_as: Callable[..., Page], admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="Rule 1", exact=True).click()
    expect(page.locator("#f-name")).to_be_focused()
    entry = page.get_by_label("Another process")
    entry.fill("dev1.exe")
    warning = page.locator("#name-only-0")
    expect(warning).to_be_visible()
    page.get_by_label("Process 1").fill("/usr/bin/dev1.exe")
    expect(warning).to_be_hidden()
    page.get_by_role("button", name="+ Add condition").first.click()
    resource = page.locator("[data-builder=resource_scope]")
    resource.get_by_role("button", name="Clear all").click()
    expect(resource.locator("[data-condition]")).to_have_count(0)
    expect(resource.get_by_role("button", name="+ Add condition")).to_be_focused()
