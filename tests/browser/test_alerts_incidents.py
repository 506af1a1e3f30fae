"""Incidents in a real browser: one click away, triaged by keyboard as a whole, and read in time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.alerts.models import Alert, Incident
from tests.browser.test_alerts_page import send, shot, violations
from tests.unit.drift.alerts.conftest import Estate, make_estate, now

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]
APT: dict[str, Any] = {
    "process__ancestors": [{"name": "dpkg", "pid": 30}, {"name": "apt", "pid": 20}],
    "process__parent": None,
}


@pytest.fixture
def estate(transactional_db: None) -> Estate:
    """An installation of seventy files, and a miner that curl wrote meanwhile."""
    found = make_estate()
    start = now() - dt.timedelta(minutes=8)
    for number in range(7):
        paths = (f"/usr/lib/tool/part-{number}{n}" for n in range(10))
        send(found, *paths, at=start + dt.timedelta(minutes=number), **APT)
    curl = {"name": "curl", "pid": 9, "at": now().isoformat()}
    send(found, "/tmp/xmrig", process__written_by=curl, container__namespace="bank", container__name="web")
    Alert.objects.filter(path="/tmp/xmrig").update(priority=92)
    return found


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_incidents_are_one_click_away_and_remembered(
    estate: Estate, open_as: Open, operator: Any, colours: str
) -> None:
    page = open_as(operator, "/alerts/", color_scheme=colours)
    page.get_by_role("navigation", name="View").get_by_role("link", name="Incidents").click()
    expect(page.locator("#alerts tbody tr")).to_have_count(2)
    expect(page.locator("#alerts tbody tr").first).to_contain_text("xmrig in cart/web — written by curl")
    expect(page.locator("#alerts tbody tr").last).to_contain_text("Package install in shop/cart, 70 files")
    expect(page.locator("#alerts tbody tr").last).to_contain_text("Routine")
    assert violations(page) == []
    shot(page, f"incidents-{colours}")

    page.goto(page.url.partition("?")[0])
    expect(page.locator("#alerts tbody tr")).to_have_count(2)
    page.get_by_role("navigation", name="View").get_by_role("link", name="Alerts").click()
    expect(page.locator("#alerts tbody tr")).to_have_count(50)


def test_a_whole_incident_is_resolved_by_keyboard(estate: Estate, open_as: Open, operator: Any) -> None:
    page = open_as(operator, "/alerts/?view=incidents")
    expect(page.locator("#alerts tbody tr")).to_have_count(2)
    for key in ("j", "j", "x", "e"):
        page.keyboard.press(key)
    panel = page.get_by_role("dialog", name="Dismiss 70 alerts")
    panel.get_by_label("Expected").check()
    panel.get_by_role("button", name="Dismiss").click()

    expect(page.get_by_text("70 alerts set to Dismissed")).to_be_visible()
    expect(page.locator("#alerts tbody tr")).to_have_count(1)
    assert set(Alert.objects.filter(status="active").values_list("path", flat=True)) == {"/tmp/xmrig"}
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#alerts tbody tr")).to_have_count(2)
    assert Alert.objects.filter(status="active").count() == 71


@pytest.mark.parametrize("width", [1440, 390])
def test_the_alerts_of_an_incident_are_read_in_time(estate: Estate, open_as: Open, operator: Any, width: int) -> None:
    pk = Incident.objects.get(story="package_install").pk
    page = open_as(operator, "/alerts/?view=incidents", viewport={"width": width, "height": 900})
    page.get_by_role("link", name="Package install").click()
    expect(page.get_by_role("heading", name="Package install in shop/cart, 70 files")).to_be_visible()
    assert page.url.endswith(f"/alerts/incidents/{pk}/")
    expect(page.locator("#alerts tbody tr")).to_have_count(70)
    expect(page.locator("#alerts tbody tr").nth(10)).to_contain_text("1.0 min later")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page, f"incident-{width}")
    page.get_by_role("link", name="70 active").click()
    expect(page.locator("#alerts tbody tr")).to_have_count(50)
    page.go_back()

    page.get_by_label("Select all alerts on this page").check()
    page.locator("#change-status > summary").click()
    page.get_by_role("button", name="In progress").click()
    expect(page.get_by_text("70 alerts set to In progress")).to_be_visible()
    expect(page.get_by_role("link", name="70 in progress")).to_be_visible()
