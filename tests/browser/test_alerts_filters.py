"""Filters and groups of alerts in a real browser, by keyboard alone: focus and announcements."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from drift.alerts.queries import alert_groups
from tests.browser.test_alerts_page import send, violations
from tests.unit.drift.alerts.conftest import Estate, make_estate
from tests.unit.drift.alerts.test_query_limits import querying

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]


@pytest.fixture
def estate(transactional_db: None) -> Estate:
    return make_estate()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_filtering_by_keyboard_keeps_the_focus(estate: Estate, open_as: Open, operator: Any, colours: str) -> None:
    send(estate, "/tmp/first")
    send(estate, "/tmp/second", container__namespace="other")
    page = open_as(operator, "/alerts/", color_scheme=colours)
    page.locator("#add-filter > summary").press("Enter")
    page.get_by_role("link", name="Namespace").press("Enter")
    typed = page.locator("#filter-namespace input[name=namespace]")
    expect(typed).to_be_focused()
    expect(page.locator("#values-namespace option")).to_have_count(2)
    assert violations(page) == []

    typed.fill("other")
    page.keyboard.press("Enter")
    expect(page.locator("#alerts tbody tr")).to_have_count(1)
    expect(page.locator("#filter-namespace > summary")).to_be_focused()
    page.locator("#sort-updated").press("Enter")
    expect(page.locator("#alerts th[aria-sort]")).to_contain_text("Last updated")
    expect(page.locator("#sort-updated")).to_be_focused()
    page.get_by_label("Remove filter Namespace").press("Enter")
    expect(page.locator("#alerts tbody tr")).to_have_count(2)
    expect(page.locator("#add-filter > summary")).to_be_focused()


def test_groups_announce_new_alerts_and_not_the_ones_they_show(estate: Estate, open_as: Open, reader: Any) -> None:
    send(estate, "/tmp/first", "/tmp/second")
    page = open_as(reader, "/alerts/?group=binary")
    expect(page.locator("#alerts tbody tr")).to_have_count(2)
    with page.expect_response("**/alerts/live/**"):
        pass
    expect(page.locator("#summary")).to_contain_text("2Open alerts")
    expect(page.locator("#news")).to_be_empty()

    send(estate, "/tmp/third")
    page.get_by_role("button", name="1 new alert · Show").click()
    expect(page.locator("#alerts tbody tr")).to_have_count(3)
    expect(page.locator("#news")).to_be_empty()


def test_new_alerts_of_a_previous_filter_are_not_announced(estate: Estate, open_as: Open, operator: Any) -> None:
    """The response belongs to a request from before the filter was chosen."""
    send(estate, "/tmp/first", "/tmp/second")
    page = open_as(operator, "/alerts/")
    held: list[Route] = []

    def hold(route: Route) -> None:  # a built-in function is none that Playwright can call
        held.append(route)

    page.route("**/alerts/live/**", hold, times=1)
    with page.expect_request("**/alerts/live/**"):
        pass
    send(estate, "/tmp/third")
    page.get_by_label("Search by ID").fill("second")
    expect(page.locator("#alerts tbody tr")).to_have_count(1)
    page.get_by_label("Select alert").check()  # new alerts would wait and be announced

    with page.expect_response(lambda answer: "/live/" in answer.url and "q=second" not in answer.url):
        held[0].continue_()
    with page.expect_response(lambda answer: "/live/" in answer.url and "q=second" in answer.url):
        pass

    expect(page.locator("#news")).to_be_empty()
    expect(page.get_by_label("Select alert")).to_be_checked()


@pytest.mark.parametrize("first", ["reload", "filter"])
def test_a_filter_replaces_a_pending_reload(estate: Estate, open_as: Open, operator: Any, first: str) -> None:
    """The list is that of the filter, whichever response arrives first."""
    send(estate, "/tmp/first", "/tmp/second")
    page = open_as(operator, "/alerts/")
    held: dict[str, Route] = {}
    page.route(re.compile(r"/alerts/(\?query=.*)?$"), lambda route: held.update({route.request.url[-2:]: route}))
    with page.expect_request(re.compile("/alerts/$")):
        send(estate, "/tmp/third")
    with page.expect_request(re.compile("query=second")):
        page.get_by_label("Search by ID").fill("second")
    page.evaluate("1")  # by now both are held

    for which in ("s/", "nd") if first == "reload" else ("nd", "s/"):
        with page.expect_response(re.compile(f"/alert.*{which}$")):
            held[which].continue_()
        page.evaluate("new Promise((done) => setTimeout(done, 0))")

    expect(page.locator("#alerts tbody tr")).to_have_count(1)
    expect(page.locator("#alerts tbody")).to_contain_text("second in cart/app")
    assert page.url.endswith("?q=second")


def test_a_second_query_during_a_running_one_is_rejected_in_place(
    estate: Estate, open_as: Open, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_groups, "NEWEST", 2)
    send(estate, "/tmp/first", "/tmp/second", "/tmp/third")
    page = open_as(reader, "/alerts/?group=binary&kind=new_file")

    with querying(reader):
        page.get_by_role("link", name="Group all that match").click()
        expect(page.get_by_text("your previous query is still running")).to_be_visible()
        assert violations(page) == []
    page.get_by_role("link", name="try again").click()

    expect(page.locator("#alerts tbody tr")).to_have_count(3)
