"""Alert routes, and the executions of an incident, in a real browser: accessible, by keyboard, on a narrow screen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from playwright.sync_api import Page, expect

from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert
from drift.notify.models import AlertRoute, Webhook
from tests.unit.drift.alerts.conftest import event, make_estate, now, raw
from tests.unit.drift.alerts.test_stored_execs import an_exec, report, send

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]
NARROW = {"width": 390, "height": 844}
VIEWS = [("light", None), ("dark", NARROW)]


def check(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


@pytest.mark.parametrize(("colours", "viewport"), VIEWS)
def test_axe_finds_nothing_on_routes_and_nothing_is_wider_than_the_screen(
    open_as: Open, admin: Any, colours: str, viewport: Any
) -> None:
    Webhook.objects.create(name="SOC", masked_url="https://x/", sealed_url=b"", sealed=b"")
    AlertRoute.objects.create(name="Payments", query=f"path:{'/very/long' * 12}", addresses=["team@example.com"])
    AlertRoute.objects.create(name="Newer", query="colour:red")
    options = {"viewport": viewport} if viewport else {}
    for path in ("/notifications/routes/", f"/notifications/routes/{AlertRoute.objects.earliest('pk').pk}/"):
        check(open_as(admin, path, color_scheme=colours, **options))


def test_a_route_is_added_with_completion_changed_and_removed_by_keyboard(open_as: Open, admin: Any) -> None:
    make_estate()
    page = open_as(admin, "/notifications/settings/")
    page.get_by_role("link", name="Alert routes").focus()
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="Name").focus()
    page.keyboard.type("Payments")
    line = page.get_by_role("combobox", name="Alerts that match")
    line.focus()
    page.keyboard.type("severity:h")
    expect(page.get_by_role("option", name="high")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(line).to_have_value("severity:high ")
    page.get_by_label("Email addresses, one per line").focus()
    page.keyboard.type("team@example.com")
    page.get_by_role("button", name="Add", exact=True).focus()
    page.keyboard.press("Enter")
    row = page.get_by_role("row").filter(has_text="Payments")
    expect(row).to_contain_text("severity:high")
    row.get_by_role("link", name="Payments").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Change Payments")).to_be_visible()
    page.get_by_role("button", name="Save").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Route Payments saved")).to_be_visible()
    page.get_by_role("button", name="Remove the route Payments").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("No routes")).to_be_visible()


@pytest.mark.parametrize(("colours", "viewport"), VIEWS)
def test_an_incident_s_executions_open_by_keyboard_and_alerts_keep_their_keys(
    open_as: Open, operator: Any, colours: str, viewport: Any
) -> None:
    estate, at = make_estate(), now() - dt.timedelta(minutes=5)
    minute = dt.timedelta(minutes=1)
    ingest(estate.sensors[0], raw(*(event(at=at + n * minute, process__path=f"/tmp/{n}") for n in range(3))))
    execs = [an_exec(at=(at + n * minute / 4).isoformat(), argv=["sh", "-c", "x" * 200]) for n in range(8)]
    sensor = Client(headers={"Authorization": f"Bearer {estate.credentials[0]}"})
    assert send(sensor, report(*execs)).status_code == 200
    options = {"viewport": viewport} if viewport else {}
    incident = Alert.objects.earliest("pk").incident_id
    page = open_as(operator, f"/alerts/incidents/{incident}/", color_scheme=colours, **options)
    page.locator(".execs summary").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".execs li").first).to_be_visible()
    check(page)
    page.keyboard.press("Escape")
    page.locator("#alerts tbody tr[data-alert] a").first.focus()
    for name in ("/tmp/1", "/tmp/2"):
        page.keyboard.press("j")
        expect(page.locator("#alerts tbody a:focus")).to_have_text(name)
