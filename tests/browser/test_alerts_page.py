"""The alerts in a real browser: live list, one alert, triage with a reason, accessibility."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.utils import timezone
from playwright.sync_api import Page, expect

from drift.alerts.actions import triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert, Status
from tests.unit.drift.alerts.conftest import Estate, event, make_estate, raw

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]
SHOTS = os.environ.get("ALERTS_SHOTS")
"""Directory for screenshots; without it none are taken."""


@pytest.fixture
def estate(transactional_db: None) -> Estate:
    return make_estate()


RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def violations(page: Page) -> list[str]:
    """Return the violations that axe finds on a page, each with its element."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{each['id']}: {node['target']}" for each in found for node in each["nodes"]]


def send(estate: Estate, *paths: str, sensor: int = 0, **changes: Any) -> None:
    ingest(estate.sensors[sensor], raw(*(event(process__path=path, **changes) for path in paths)))


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", caret="initial")


def test_a_new_alert_appears_on_the_open_page_by_itself(estate: Estate, open_as: Open, reader: Any) -> None:
    page = open_as(reader, "/alerts/")
    expect(page.get_by_role("heading", name="No open alerts")).to_be_visible()

    send(estate, "/tmp/first")

    expect(page.get_by_title("/tmp/first")).to_be_visible()
    expect(page.locator("#summary")).to_contain_text("1Open alerts")


def test_new_alerts_wait_while_alerts_are_selected(estate: Estate, open_as: Open, operator: Any) -> None:
    send(estate, "/tmp/first")
    page = open_as(operator, "/alerts/")
    page.get_by_label("Select alert").check()

    send(estate, "/tmp/second", "/tmp/third")
    send(estate, "/tmp/first")

    show = page.get_by_role("button", name="2 new alerts · Show")
    expect(show).to_be_visible()
    expect(page.locator("#alerts tbody tr")).to_have_count(1)
    expect(page.locator("#alerts tbody")).to_contain_text("× 2")
    expect(page.get_by_label("Select alert")).to_be_checked()
    show.click()
    expect(page.locator("#alerts tbody tr")).to_have_count(3)


def test_an_operator_dismisses_with_a_reason_and_undoes_it(estate: Estate, open_as: Open, operator: Any) -> None:
    send(estate, "/tmp/first", "/tmp/second")
    page = open_as(operator, "/alerts/")
    page.get_by_label("Select all alerts on this page").check()
    page.locator("summary", has_text="Change status").click()
    shot(page, "bulk-menu")
    page.get_by_role("button", name="Dismissed").click()
    panel = page.get_by_role("dialog", name="Dismiss 2 alerts")
    panel.get_by_role("button", name="Dismiss").click()
    expect(panel.get_by_text("Choose a resolution")).to_be_visible()
    panel.get_by_label("Expected").check()
    panel.get_by_label("Comment").fill("Our own debugging tool")
    shot(page, "dismiss-panel")

    panel.get_by_role("button", name="Dismiss").click()

    expect(page.get_by_text("2 alerts set to Dismissed")).to_be_visible()
    expect(page.get_by_role("heading", name="No open alerts")).to_be_visible()
    assert set(Alert.objects.values_list("status", "verdict")) == {("dismissed", "expected")}
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#alerts tbody tr")).to_have_count(2)
    assert set(Alert.objects.values_list("status", flat=True)) == {"active"}


def test_the_second_reviewer_sees_who_was_first(estate: Estate, open_as: Open, operator: Any, admin: Any) -> None:
    send(estate, "/tmp/first")
    alert = Alert.objects.get()
    page = open_as(operator, f"/alerts/{alert.pk}/")
    page.route("**/live/**", lambda route: route.fulfill(status=204))
    triage.change_status(admin, {alert.pk: 1}, triage.StatusChange(Status.IN_PROGRESS))

    page.locator("#alert-status summary").click()
    page.locator("#alert-status").get_by_role("button", name="In progress").click()

    expect(page.get_by_text(f"Admin changed alert {alert.pk}")).to_be_visible()
    expect(page.locator("#alert-status summary")).to_contain_text("In progress")


def test_one_alert_is_read_and_closed(estate: Estate, open_as: Open, operator: Any) -> None:
    send(estate, "/tmp/first")
    alert = Alert.objects.get()
    page = open_as(operator, "/alerts/")
    page.get_by_role("link", name=alert.title).click()
    expect(page.get_by_role("heading", name="General information")).to_be_visible()
    shot(page, "detail")
    for tab, heading in (("Why", "Evaluated rules, in order"), ("Timeline", "Activity"), ("Take action", "")):
        page.get_by_role("navigation", name="Alert tabs").get_by_role("link", name=tab).click()
        if heading:
            expect(page.get_by_role("heading", name=heading)).to_be_visible()
        shot(page, f"detail-{tab.lower().replace(' ', '-')}")

    page.get_by_role("button", name="Resolve alert").click()
    page.get_by_role("dialog").get_by_label("Benign true positive").check()
    page.get_by_role("dialog").get_by_role("button", name="Resolve").click()

    expect(page.locator("#alert-status summary")).to_contain_text("Resolved")
    expect(page.get_by_text("Benign true positive")).to_be_visible()


def test_filters_and_search_narrow_the_list(estate: Estate, open_as: Open, operator: Any) -> None:
    send(estate, "/tmp/first")
    send(estate, "/tmp/second", sensor=2)
    page = open_as(operator, "/alerts/")

    page.get_by_label("Search by ID").fill("SECOND")
    expect(page.locator("#alerts tbody tr")).to_have_count(1)
    expect(page.get_by_label("Search by ID")).to_be_focused()
    page.get_by_label("Search by ID").fill("")
    expect(page.locator("#alerts tbody tr")).to_have_count(2)
    page.locator("summary", has_text="Add filter").click()
    page.get_by_role("link", name="Cluster").click()
    page.get_by_label("blue").check()
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#alerts tbody tr")).to_have_count(1)
    expect(page.locator("#filter-cluster")).to_contain_text("Cluster == blue")
    shot(page, "filtered")
    expect(page.get_by_label("Search by ID")).to_have_value("cluster:blue")
    page.get_by_label("Search by ID").fill("cluster:blue nowhere")
    expect(page.get_by_role("heading", name="No alerts match")).to_be_visible()
    page.get_by_label("Search by ID").fill("cluster:blue")
    page.keyboard.press("Enter")
    expect(page.locator("#alerts tbody tr")).to_have_count(1)
    page.get_by_label("Remove filter Cluster").click()
    expect(page.locator("#alerts tbody tr")).to_have_count(2)


def test_alerts_are_triaged_by_keyboard_alone(estate: Estate, open_as: Open, operator: Any) -> None:
    send(estate, "/tmp/first", "/tmp/second", "/tmp/third")
    page = open_as(operator, "/alerts/")
    expect(page.locator("#alerts tbody tr")).to_have_count(3)

    for key in ("j", "j", "x", "a"):
        page.keyboard.press(key)
    expect(page.locator("#messages")).to_contain_text("1 alert assigned to Operator")
    expect(page.locator("#alerts tbody tr", has=page.get_by_title("/tmp/second"))).to_contain_text("Operator")
    for key in ("j", "j", "j", "k", "e"):
        page.keyboard.press(key)
    expect(page.get_by_role("dialog", name="Dismiss 1 alert")).to_be_visible()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")

    expect(page.get_by_text("1 alert set to Dismissed")).to_be_visible()
    assert list(Alert.objects.filter(status="dismissed").values_list("path", "assignee__name")) == [
        ("/tmp/second", "Operator")
    ]
    page.keyboard.press("/")
    expect(page.get_by_label("Search by ID")).to_be_focused()


def test_the_keys_can_be_turned_off(estate: Estate, open_as: Open, operator: Any) -> None:
    send(estate, "/tmp/first")
    page = open_as(operator, "/alerts/")
    page.keyboard.press("?")
    page.get_by_label("Enable keyboard shortcuts").uncheck()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()

    page.keyboard.press("j")
    page.keyboard.press("x")

    expect(page.get_by_label("Select alert")).not_to_be_checked()


def test_one_resolution_closes_a_whole_incident(estate: Estate, open_as: Open, operator: Any) -> None:
    send(estate, *(f"/usr/lib/{number}" for number in range(70)))
    page = open_as(operator, "/alerts/")
    page.get_by_label("Grouping").select_option("incident")
    shot(page, "groups")
    page.locator("#alerts").get_by_role("link", name="Incident").click()
    expect(page.locator("#alerts tbody tr")).to_have_count(50)
    page.get_by_label("Select all alerts on this page").check()
    page.get_by_role("button", name="Select all that match").click()
    expect(page.get_by_text("70 matching alerts are selected")).to_be_visible()

    page.locator("#change-status > summary").click()
    page.get_by_role("button", name="Resolved").click()
    panel = page.get_by_role("dialog", name="Resolve 70 alerts")
    panel.get_by_label("Benign true positive").check()
    panel.get_by_role("button", name="Resolve").click()

    expect(page.get_by_text("70 alerts set to Resolved")).to_be_visible()
    assert set(Alert.objects.values_list("status", flat=True)) == {"resolved"}


def test_a_rule_from_an_alert_suppresses_similar_ones(estate: Estate, open_as: Open, operator: Any) -> None:
    send(estate, "/opt/tools/gdb")
    page = open_as(operator, f"/alerts/{Alert.objects.get().pk}/?tab=action")
    page.get_by_role("link", name="Create suppression rule").click()
    panel = page.get_by_role("dialog", name="New suppression rule")
    panel.get_by_role("button", name="Simulate").click()
    expect(panel.get_by_text("It would have dismissed 1 of 1 alert")).to_be_visible()
    shot(page, "suppression-panel")
    assert violations(page) == []
    panel.get_by_role("button", name="Apply").click()
    expect(page.locator("#messages")).to_contain_text("saved")

    triage.change_status(
        operator, {Alert.objects.get().pk: 1}, triage.StatusChange(Status.RESOLVED, "benign_true_positive")
    )
    send(estate, "/opt/tools/gdb", container__pod_name="cart-7d9f-zzzzz")

    assert Alert.objects.get(status="dismissed").suppressed_by is not None
    page.goto(page.url.split("/alerts/")[0] + "/alerts/suppression/")
    expect(page.locator("#rules tbody tr")).to_contain_text("Like alert")
    shot(page, "suppression-list")
    assert violations(page) == []


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_a_chart_filters_when_it_is_clicked_and_has_a_table(
    estate: Estate, open_as: Open, operator: Any, colours: str
) -> None:
    send(estate, "/tmp/first", "/tmp/second")
    page = open_as(operator, "/alerts/charts/?days=7", color_scheme=colours)
    expect(page.locator("#plot canvas")).to_be_visible()
    shot(page, f"charts-{colours}")
    assert violations(page) == []
    page.get_by_text("Show as a table").click()
    expect(page.get_by_role("table", name="Alerts by day")).to_contain_text("2")

    over = page.locator("#plot .u-over")
    box = over.bounding_box()
    assert box
    over.click(position={"x": box["width"] - 2, "y": 10})

    expect(page.locator("#alerts tbody tr")).to_have_count(2)
    expect(page.locator("#filter-status")).to_contain_text("Active")
    expect(page.locator("#filter-day")).to_contain_text(f"{timezone.now():%Y-%m-%d}")
    page.go_back()
    page.get_by_role("table", name="Alerts by weekday and hour").get_by_role("link", name="2").click()
    expect(page.locator("#alerts tbody tr")).to_have_count(2)
    expect(page.locator("#filter-hour")).to_be_visible()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_on_the_pages(estate: Estate, open_as: Open, operator: Any, colours: str) -> None:
    send(estate, "/tmp/first", "/tmp/second")
    send(estate, "/tmp/third", outcome="blocked")
    page = open_as(operator, "/alerts/", color_scheme=colours)
    expect(page.locator("#alerts tbody tr")).to_have_count(3)
    shot(page, f"list-{colours}")
    found = {"list": violations(page)}
    for tab in ("details", "why", "timeline", "action"):
        page.goto(f"{page.url.split('/alerts/')[0]}/alerts/{Alert.objects.first().pk}/?tab={tab}")  # type: ignore[union-attr]
        shot(page, f"{tab}-{colours}")
        found[tab] = violations(page)
    page.get_by_role("button", name="Dismiss alert").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    found["panel"] = violations(page)

    assert {name: each for name, each in found.items() if each} == {}
