"""Two reviewers at once, in a real browser: the second loses nothing that they typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.alerts.actions import triage
from drift.alerts.models import Alert, Resolution, Status
from tests.browser.test_alerts_page import estate, send, violations
from tests.unit.drift.alerts.conftest import Estate

__all__ = ["estate"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]


@pytest.mark.parametrize("where", ["list", "alert"])
def test_the_panel_stays_with_what_was_typed_and_applies_it_again(
    estate: Estate, open_as: Open, operator: Any, admin: Any, where: str
) -> None:
    send(estate, "/tmp/first", "/tmp/second")
    alerts = list(Alert.objects.order_by("pk"))
    page = open_as(operator, "/alerts/" if where == "list" else f"/alerts/{alerts[0].pk}/?tab=action")
    if where == "list":
        page.get_by_label("Select all alerts on this page").check()
        page.locator("#change-status > summary").click()
        page.get_by_role("button", name="Dismissed").click()
    else:
        page.get_by_role("button", name="Dismiss alert").click()
    panel = page.get_by_role("dialog")
    panel.get_by_label("Accepted risk").check()
    panel.get_by_label("Comment").fill("A long comment")
    change = triage.StatusChange(Status.RESOLVED, Resolution.TRUE_POSITIVE, "It mines")
    triage.change_status(admin, {alerts[0].pk: 1}, change)

    panel.get_by_role("button", name="Dismiss").click()

    expect(panel.get_by_role("alert")).to_contain_text(f"Admin changed alert {alerts[0].pk}")
    expect(panel.get_by_role("alert")).to_contain_text("It mines")
    expect(panel.get_by_label("Comment")).to_have_value("A long comment")
    expect(panel.get_by_label("Accepted risk")).to_be_checked()
    expect(panel.get_by_role("button", name="Dismiss again")).to_be_focused()
    assert violations(page) == []
    page.keyboard.press("Enter")
    expect(page.locator("#messages")).to_contain_text("set to Dismissed")
    expect(panel).to_have_count(0)
    if where == "list":  # the button that opened the panel is in a menu that has closed
        expect(page.locator("#change-status > summary")).to_be_focused()
    assert Alert.objects.get(pk=alerts[0].pk).activities.latest("id").text == "A long comment"


def test_a_change_without_a_panel_is_applied_again_by_one_button(
    estate: Estate, open_as: Open, operator: Any, admin: Any
) -> None:
    send(estate, "/tmp/first")
    alert = Alert.objects.get()
    page = open_as(operator, f"/alerts/{alert.pk}/")
    page.route("**/live/**", lambda route: route.fulfill(status=204))
    triage.assign(admin, {alert.pk: 1}, admin)
    page.locator("#alert-status summary").click()
    page.locator("#alert-status").get_by_role("button", name="In progress").click()
    expect(page.locator("#messages")).to_contain_text("assigned the alert")

    page.get_by_role("button", name="Apply again").click()

    expect(page.locator("#messages")).to_contain_text("1 alert set to In progress")
    assert Alert.objects.get().status == "in_progress"
