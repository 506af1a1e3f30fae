"""Notifications in a real browser: the bell, the inbox, and the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from drift.notify.actions import deliveries, notices
from drift.notify.actions import settings as settings_actions
from drift.notify.models import Kind

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing(open_as: Open, admin: Any, colours: str, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.com"
    notices.notify_user(admin, Kind.MENTION, "Somebody mentioned you on alert 7", "Look at this.", "/alerts/")
    row, _ = settings_actions.add_webhook(admin, name="SIEM", url="https://hooks.invalid/", alerts=True, health=True)
    deliveries.send_test(admin, row.pk)
    deliveries.send_due()
    for path in ("/notifications/", "/notifications/settings/"):
        page = open_as(admin, path, color_scheme=colours)
        expect(page.locator("#bell")).to_have_accessible_name("Notifications: 1 unread")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_an_admin_adds_a_webhook_sees_its_secret_once_and_sends_a_test(open_as: Open, admin: Any) -> None:
    page = open_as(admin, "/settings/environments/")
    page.get_by_role("link", name="Alert notifications").click()
    page.get_by_label("Name").fill("SIEM")
    page.get_by_label("Address *", exact=True).fill("https://hooks.invalid/")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("The webhook's secret, shown only once: dwh_")).to_be_visible()
    page.get_by_role("button", name="Send test to SIEM").click()
    expect(page.get_by_text("Test queued")).to_be_visible()
    expect(page.get_by_text("shown only once")).to_have_count(0)
    deliveries.send_due()
    page.reload()
    expect(page.get_by_role("row").filter(has_text="Failed")).to_be_visible()
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("row").filter(has_text="Waiting")).to_be_visible()


def test_the_bell_opens_the_notices_and_its_count_clears(open_as: Open, reader: Any) -> None:
    notices.notify_user(reader, Kind.ASSIGNED, "Olga assigned alert 7 to you", "", "/alerts/")
    page = open_as(reader, "/alerts/")
    page.get_by_role("link", name="Notifications: 1 unread").click()
    expect(page.get_by_role("link", name="Olga assigned alert 7 to you")).to_be_visible()
    page.get_by_role("button", name="Mark all as read").click()
    expect(page.locator("#bell")).to_have_accessible_name("Notifications")
