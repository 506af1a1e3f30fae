"""The rule panel while answers and scripts come late, or never: what is typed counts, and Apply stays usable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.fleet.models import Environment
from drift.policy.actions import versions
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from tests.browser.held import Held
from tests.browser.rules import PAGE
from tests.browser.test_policy_failures import answers
from tests.browser.test_policy_guards import Answers
from tests.unit.drift.policy.samples import document

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]


def test_environments_that_come_late_leave_the_focus_and_what_is_checked(
    open_as: Open, admin: Any, queued: list[Any]
) -> None:
    Environment.objects.create(provider="azure", account="sub-1", name="Subscription 1")
    page = open_as(admin, PAGE)
    page.locator("#add-rule").click()
    held = Held(page, "**/settings/scope-tree/**")
    page.locator("summary#f-scope").press("Enter")
    azure = page.get_by_role("checkbox", name="Azure", exact=True)
    azure.focus()
    held.release()
    expect(page.get_by_role("button", name="Environments of Azure")).to_be_visible()
    expect(azure).to_be_focused()
    page.keyboard.press("Space")
    expect(azure).to_be_checked()
    expect(page.locator("#scope-summary")).to_have_text("Azure")


def test_environments_that_come_late_leave_what_was_checked_below_their_provider(
    open_as: Open, admin: Any, queued: list[Any]
) -> None:
    Environment.objects.create(provider="aws", account="acc-2", name="Account 2")
    known = document("A")
    known["rules"][0]["cloud_scope"] = [{"provider": "aws", "accounts": ["acc-2", "gone"]}]
    versions.save_document(admin, known, 1)
    page = open_as(admin, PAGE)
    held = Held(page, "**/settings/scope-tree/**")
    page.get_by_role("link", name="A", exact=True).click()
    page.locator("summary#f-scope").press("Enter")
    page.get_by_label("acc-2").uncheck()
    aws = page.get_by_role("checkbox", name="AWS", exact=True)
    aws.check()
    held.release()
    expect(page.get_by_label("Account 2")).to_be_disabled()

    aws.uncheck()

    expect(page.get_by_label("Account 2")).not_to_be_checked()
    expect(page.get_by_label("gone")).to_be_checked()


def test_a_check_that_is_not_answered_leaves_it_to_apply(
    open_as: Open, admin: Any, nine_rules: PolicyVersion, complaints: list[str]
) -> None:
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="Rule 5", exact=True).click()
    apply, name = page.locator("#apply"), page.locator("#f-name")
    for status in (0, 503, 200):
        page.unroute_all()
        name.fill("rule 2")
        expect(apply).to_be_disabled()
        answers(page, "/settings/policy/rule/check/", status)
        name.fill("Renamed")
        expect(page.locator("#words")).to_have_text("Not checked. Apply checks it.")
        expect(apply).to_be_enabled()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert draft_state(admin).document["rules"][4]["name"] == "Renamed"
    complaints.clear()


def test_enter_applies_what_was_corrected_before_the_check_has_answered(
    open_as: Open, admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="Rule 5", exact=True).click()
    name = page.locator("#f-name")
    name.fill("rule 2")
    expect(page.locator("#apply")).to_be_disabled()
    held = Held(page, "**/settings/policy/rule/check/")
    name.fill("Renamed")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Renamed", exact=True)).to_be_focused()
    held.release()


def test_enter_sends_no_rule_of_which_the_errors_are_shown(
    open_as: Open, admin: Any, nine_rules: PolicyVersion
) -> None:
    """Enter fires a change event of a field that was typed in, though nothing has changed since the check."""
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="Rule 5", exact=True).click()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.locator("#f-name").fill("rule 2")
    expect(page.locator("#apply")).to_be_disabled()
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_have_text("The rule has errors")
    assert [url for url in sent if url.endswith("/apply/")] == []


def test_a_late_refusal_leaves_what_was_typed_since(
    open_as: Open, admin: Any, nine_rules: PolicyVersion, complaints: list[str]
) -> None:
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="Rule 5", exact=True).click()
    held = Held(page, "**/settings/policy/rule/apply/")
    check = Held(page, "**/settings/policy/rule/check/")
    name = page.locator("#f-name")
    name.fill("rule 2")
    with page.expect_request("**/settings/policy/rule/apply/"):
        page.keyboard.press("Enter")  # before the check
    check.release()
    expect(page.locator("#e-name")).to_have_text("Another rule has this name")
    name.fill("Renamed")
    expect(page.locator("#apply")).to_be_enabled()

    held.release()

    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("what was sent was rejected")
    expect(name).to_have_value("Renamed")
    page.locator("#apply").click()
    expect(page.get_by_role("link", name="Renamed", exact=True)).to_be_focused()
    complaints.clear()


def test_enter_once_more_sends_the_correction_after_a_late_refusal(
    open_as: Open, admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="Rule 5", exact=True).click()
    held = Held(page, "**/settings/policy/rule/apply/")
    check = Held(page, "**/settings/policy/rule/check/")
    name = page.locator("#f-name")
    name.fill("rule 2")
    with page.expect_request("**/settings/policy/rule/apply/"):
        page.keyboard.press("Enter")
    name.fill("Renamed")
    page.keyboard.press("Enter")
    check.release()

    held.release()

    expect(page.get_by_role("link", name="Renamed", exact=True)).to_be_focused()


def test_what_is_typed_before_the_scripts_are_ready_is_checked_and_guarded(
    open_as: Open, admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    base = page.url.removesuffix(PAGE)
    held = Held(page, "**/js/policy/rule-panel*.js")
    guard = Held(page, "**/js/panel-guard*.js")
    page.goto(f"{base}{PAGE}rule/?rule=rule-5", wait_until="commit")
    page.locator("#f-name").fill("rule 2")
    held.release()
    guard.release()
    expect(page.locator("#e-name")).to_have_text("Another rule has this name")
    answered = Answers(page, False)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert answered.asked == ["confirm"]
