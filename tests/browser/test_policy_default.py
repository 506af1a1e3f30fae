"""The default rule that may block, dry runs of blocking, the health banner and the history's panels, in a browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.backtest.actions import runs
from drift.health.domain.conditions import BY_CODE
from drift.health.domain.outcomes import CheckOutcome
from drift.health.views import health
from drift.policy.actions import versions
from drift.policy.models import PolicyVersion
from drift.policy.queries.drafts import draft_state
from drift.policy.queries.versions import latest_version
from tests.browser.rules import PAGE, look, row
from tests.browser.test_policy_guards import Answers
from tests.unit.drift.policy.samples import document

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Open = Callable[..., Page]


@pytest.fixture
def three_rules(admin: Any, queued: list[Any]) -> PolicyVersion:
    """Version 2 with the rules A, B and C."""
    return versions.save_document(admin, document("A", "B", "C"), 1).version


def open_default(page: Page) -> Any:
    page.get_by_role("link", name="Default binary drift rule").click()
    return page.get_by_role("dialog", name="Edit binary drift Rule")


def test_while_the_setting_is_off_the_default_rule_s_panel_is_as_pictured(open_as: Open, admin: Any) -> None:
    panel = open_default(open_as(admin, PAGE))
    expect(panel.get_by_label("Action").locator("option")).to_have_text(
        ["Drift detection alert", "Ignore drift detection"]
    )
    expect(panel.get_by_label("Only record what would be blocked")).to_have_count(0)


def test_by_keyboard_it_is_tried_dry_and_then_blocks_after_a_backtest_and_a_phrase(
    open_as: Open, admin: Any, settings: Any, queued: list[Any]
) -> None:
    settings.DEFAULT_RULE_MAY_BLOCK = True
    page = open_as(admin, PAGE)
    panel = open_default(page)
    action = panel.get_by_label("Action")
    action.focus()
    page.keyboard.press("End")
    expect(action).to_have_value("block")
    page.keyboard.press("Tab")
    expect(panel.get_by_label("Only record what would be blocked")).to_be_focused()
    page.keyboard.press("Space")
    look(page, "default-blocking")
    panel.get_by_role("button", name="Apply").click()
    expect(row(page, "Default binary drift rule")).to_contain_text("Drift detection blocking (dry run)")
    assert draft_state(admin).document["default"] == {"action": "block", "dry_run": True}

    panel = open_default(page)
    panel.get_by_label("Only record what would be blocked").uncheck()
    panel.get_by_role("button", name="Apply").click()
    expect(page.locator("#default-blocks-note")).to_contain_text("The default rule blocks.")
    page.locator("#save").click()
    expect(page.locator("#refusal")).to_contain_text("a backtest must show what it would stop")
    page.get_by_role("link", name="Review and backtest the draft").click()
    review = page.get_by_role("dialog")
    review.get_by_role("button", name="Backtest on the last 7 days").click()
    expect(review.get_by_text("Waiting for a worker")).to_be_visible()
    runs.perform(max(arguments[0] for task, arguments in queued if task == "backtest.run"))
    expect(review.get_by_role("link", name="Open backtest")).to_be_visible()
    page.keyboard.press("Escape")
    page.locator("#save").click()
    expect(page.locator("#refusal")).to_contain_text("Type block by default to save it")
    look(page, "default-blocking-confirmation")
    page.get_by_label("Type block by default").fill("block by default")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Saved as v2")).to_be_visible()
    assert latest_version().document["default"] == {"action": "block"}


def test_the_panel_and_its_warning_fit_a_phone(open_as: Open, admin: Any, settings: Any) -> None:
    settings.DEFAULT_RULE_MAY_BLOCK = True
    page = open_as(admin, PAGE, viewport={"width": 390, "height": 844})
    panel = open_default(page)
    panel.get_by_label("Action").select_option("block")
    expect(panel.get_by_text("Stops drift in every container")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    look(page, "default-blocking-narrow")


def test_a_blocking_rule_is_set_to_only_record_and_says_so(
    open_as: Open, admin: Any, three_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    page.get_by_role("link", name="A", exact=True).click()
    panel = page.get_by_role("dialog")
    panel.get_by_label("Action").select_option(label="Drift detection blocking")
    panel.get_by_label("Only record what would be blocked").check()
    expect(panel.get_by_text("raises an alert, which records that it would be blocked")).to_be_visible()
    panel.get_by_role("button", name="Apply").click()
    expect(row(page, "A")).to_contain_text("Drift detection blocking (dry run)")
    page.get_by_role("link", name="A", exact=True).click()
    expect(panel.get_by_text("would have blocked nothing in the last 7 days")).to_be_visible()
    expect(panel.get_by_label("Only record what would be blocked")).to_be_checked()


def test_the_banner_of_what_is_dead_comes_and_goes_by_itself(
    open_as: Open, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_as(admin, PAGE)
    banner = page.locator("[hx-get='/settings/health/banner/']")
    expect(banner.locator(".message")).to_have_count(0)
    monkeypatch.setattr(health, "dead_parts", _worker_is_dead)
    expect(banner.locator(".message")).to_contain_text("Health")
    look(page, "health-banner")
    monkeypatch.setattr(health, "dead_parts", list)
    expect(banner.locator(".message")).to_have_count(0)


def _worker_is_dead() -> list[Any]:
    return [(BY_CODE["worker"], CheckOutcome("failing", "no sign of life for 20 seconds"))]


def test_back_asks_before_a_typed_restore_is_lost_and_closes_an_untouched_one(
    open_as: Open, admin: Any, three_rules: PolicyVersion
) -> None:
    versions.save_document(admin, document("A"), three_rules.number)
    page = open_as(admin, f"{PAGE}versions/")
    page.locator("#changes-3").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.url.endswith("/versions/")

    page.get_by_role("button", name="Restore v2").click()
    panel = page.get_by_role("dialog", name="Restore v2")
    panel.get_by_label("Comment").fill("Because of the incident")
    answers = Answers(page, False, True)
    page.go_back()
    expect(panel.get_by_label("Comment")).to_have_value("Because of the incident")
    page.go_back()
    expect(panel).to_have_count(0)
    assert answers.asked == ["confirm", "confirm"]
    page.get_by_role("button", name="Restore v2").click()
    panel.get_by_role("button", name="Restore v2").click()
    expect(page.get_by_text("Saved as v4")).to_be_visible()
    expect(panel).to_have_count(0)
