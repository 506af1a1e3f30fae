"""The SIEM page and the sensors' versions in a real browser: accessible, by keyboard, and on a narrow screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from drift.fleet.models import SensorStatus
from drift.siem.models import SiemDestination
from tests.unit.drift.alerts.conftest import make_estate

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]
NARROW = {"width": 390, "height": 844}


@pytest.mark.parametrize(("colours", "viewport"), [("light", None), ("dark", NARROW)])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(
    open_as: Open, admin: Any, colours: str, viewport: Any
) -> None:
    for sensor, version in zip(make_estate().sensors, ("0.2.0+gcccccccc", "0.1.0", "9.0.0"), strict=True):
        SensorStatus.objects.update_or_create(sensor=sensor, defaults={"sensor_version": version})
    long = "a-very-long-name-of-a-receiver.in-a-very-long-domain.example.com"
    rows = SiemDestination.objects
    rows.create(name="SOC", transport="tls", record_format="ocsf", host=long, port=6514, failures=3, error="No way.")
    rows.create(name="Archive", transport="file", record_format="json", file_name="a.jsonl", enabled=False)
    rows.create(name="Team", transport="tls", record_format="json", host="x.example", port=1, is_scoped=True)
    options = {"viewport": viewport} if viewport else {}
    for path in ("/settings/siem/", "/settings/versions/"):
        page = open_as(admin, path, color_scheme=colours, **options)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_a_destination_is_added_paused_and_removed_by_keyboard(open_as: Open, admin: Any) -> None:
    page = open_as(admin, "/settings/environments/")
    page.get_by_role("link", name="SIEM").focus()
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="Name", exact=True).focus()
    page.keyboard.type("SOC")
    page.get_by_label("Host").focus()
    page.keyboard.type("siem.example.com")
    page.keyboard.press("Enter")
    row = page.get_by_role("row").filter(has_text="siem.example.com:6514")
    expect(row).to_contain_text("Up to date")
    row.get_by_role("button", name="Pause SOC").focus()
    page.keyboard.press("Enter")
    expect(row).to_contain_text("Paused")
    row.get_by_role("button", name="Remove SOC").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("No destinations yet.")).to_be_visible()
