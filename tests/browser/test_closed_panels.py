"""The answer to a panel that was closed: it changes the list, and not the panel that is open by then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.alerts.models import Alert, Status
from drift.policy.models import PolicyVersion
from tests.browser.held import Held
from tests.browser.rules import PAGE
from tests.browser.test_alerts_page import estate, send
from tests.browser.test_policy_guards import Answers
from tests.unit.drift.alerts.conftest import Estate
from tests.unit.drift.fleet import estate as fleet

__all__ = ["estate"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]
REJECTED = "The change in the closed panel was rejected."


def apply_and_close(page: Page, name: str, typed: str) -> Held:
    """Apply a rule under another name, and close its panel before the answer, which is held."""
    page.get_by_role("link", name=name, exact=True).click()
    held = Held(page, "**/settings/policy/rule/apply/")
    page.locator("#f-name").fill(typed)
    with page.expect_request("**/settings/policy/rule/apply/"):
        page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.wait_for_function("() => !history.state?.panel")  # closing goes back, on a busy machine only now
    return held


def test_a_rule_that_is_applied_late_changes_the_list_and_leaves_the_panel_of_another(
    open_as: Open, admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    answers = Answers(page, True)
    held = apply_and_close(page, "Rule 5", "Renamed")
    page.get_by_role("link", name="Rule 6", exact=True).click()
    page.get_by_role("dialog").get_by_label("Scope description").fill("Half typed")

    held.release()

    expect(page.locator("#rule-rows")).to_contain_text("Renamed")
    expect(page.get_by_role("dialog").get_by_label("Scope description")).to_have_value("Half typed")
    assert answers.asked == ["confirm"]


def test_a_rule_that_is_refused_late_leaves_the_panel_of_another(
    open_as: Open, admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    Answers(page, True)
    held = apply_and_close(page, "Rule 5", "rule 2")
    page.get_by_role("link", name="Rule 6", exact=True).click()
    page.get_by_role("dialog").get_by_label("Scope description").fill("Half typed")

    held.release()

    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text(REJECTED)
    expect(page.locator("#panel #f-name")).to_have_value("Rule 6")
    expect(page.get_by_role("dialog").get_by_label("Scope description")).to_have_value("Half typed")


def test_a_rule_that_is_refused_after_its_panel_was_closed_opens_none(
    open_as: Open, admin: Any, nine_rules: PolicyVersion
) -> None:
    page = open_as(admin, PAGE)
    Answers(page, True)
    apply_and_close(page, "Rule 5", "rule 2").release()

    expect(page.locator("#messages")).to_contain_text(REJECTED)
    expect(page.get_by_role("dialog")).to_have_count(0)


def decide(page: Page, row: int, status: str) -> None:
    """Open the panel of another status for one alert."""
    page.locator("#alerts tbody tr").nth(row).get_by_role("checkbox").check()
    page.locator("#change-status > summary").click()
    page.get_by_role("button", name=status).click()


def test_alerts_that_are_dismissed_late_leave_the_list_and_the_panel_of_others(
    estate: Estate, open_as: Open, operator: Any
) -> None:
    send(estate, "/tmp/first", "/tmp/second")
    page = open_as(operator, "/alerts/")
    panel = page.get_by_role("dialog")
    decide(page, 0, "Dismissed")
    panel.get_by_label("Accepted risk").check()
    held = Held(page, "**/alerts/status/")
    with page.expect_request("**/alerts/status/"):
        panel.get_by_role("button", name="Dismiss").click()
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    page.locator("#alerts tbody tr").nth(0).get_by_role("checkbox").uncheck()
    decide(page, 1, "Resolved")
    panel.get_by_label("Comment").fill("Half typed")

    held.release()

    expect(page.locator("#alerts tbody tr")).to_have_count(1)
    expect(panel.get_by_label("Comment")).to_have_value("Half typed")
    assert Alert.objects.filter(status=Status.DISMISSED).count() == 1


def test_a_sensor_that_is_switched_off_late_leaves_the_panel_of_another(
    open_as: Open, admin: Any, queued: list[Any]
) -> None:
    for account, name in (("sub-1", "Production"), ("sub-2", "Payments")):
        fleet.environment("azure", account, name=name)
    page = open_as(admin, "/settings/environments/")
    panel = page.get_by_role("dialog")
    page.get_by_role("switch", name="Sensor in Production").click()
    held = Held(page, "**/settings/environments/*/switch/")
    with page.expect_request("**/settings/environments/*/switch/"):
        panel.get_by_role("button", name="Switch off").click()
    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    page.get_by_text("Add environment").click()
    page.get_by_role("link", name="GCP project").click()
    page.get_by_label("Account id").fill("project-7")

    held.release()

    expect(page.locator("#status")).to_have_text("Sensor off in Production")
    expect(page.get_by_label("Account id")).to_have_value("project-7")


def test_alerts_that_are_taken_up_late_leave_the_panel_that_was_opened_since(
    estate: Estate, open_as: Open, operator: Any
) -> None:
    send(estate, "/tmp/first", "/tmp/second")
    page = open_as(operator, "/alerts/")
    held = Held(page, "**/alerts/status/")
    with page.expect_request("**/alerts/status/"):
        decide(page, 0, "In progress")
    page.locator("#alerts tbody tr").nth(0).get_by_role("checkbox").uncheck()
    decide(page, 1, "Resolved")
    panel = page.get_by_role("dialog")
    panel.get_by_label("Comment").fill("Half typed")

    held.release()

    expect(page.locator("#alerts tbody")).to_contain_text("In progress")
    expect(panel.get_by_label("Comment")).to_have_value("Half typed")


def test_a_sensor_that_is_switched_on_late_leaves_the_panel_that_was_opened_since(
    open_as: Open, admin: Any, queued: list[Any]
) -> None:
    fleet.environment("azure", "sub-1", name="Production", sensor_enabled=False)
    page = open_as(admin, "/settings/environments/")
    held = Held(page, "**/settings/environments/*/switch/")
    with page.expect_request("**/settings/environments/*/switch/"):
        page.get_by_role("switch", name="Sensor in Production").click()
    page.get_by_text("Add environment").click()
    page.get_by_role("link", name="GCP project").click()
    page.get_by_label("Account id").fill("project-7")

    held.release()

    expect(page.locator("#status")).to_have_text("Sensor on in Production")
    expect(page.get_by_label("Account id")).to_have_value("project-7")
