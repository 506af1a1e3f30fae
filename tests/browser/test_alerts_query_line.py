"""The query line in a real browser: typed, completed by keyboard, mirrored by the pills, refused at its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.held import Held
from tests.browser.test_alerts_page import send, violations
from tests.unit.drift.alerts.conftest import Estate, make_estate, now

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]
CURL = {"name": "curl", "pid": 9, "at": now().isoformat()}


@pytest.fixture
def estate(transactional_db: None) -> Estate:
    return make_estate()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_a_query_is_completed_by_keyboard_and_the_pills_mirror_it(
    estate: Estate, open_as: Open, reader: Any, colours: str
) -> None:
    send(estate, "/tmp/first", process__written_by=CURL)
    send(estate, "/tmp/second")
    page = open_as(reader, "/alerts/", color_scheme=colours)
    line = page.get_by_role("combobox", name="Search by ID")
    line.press_sequentially("wri")
    options = ["writer: Written by", "writer_session: Writer session", "writer_origin: Writer origin"]
    expect(page.locator("#completions [role=option]")).to_have_text(options)
    expect(line).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    expect(line).to_have_attribute("aria-activedescendant", "completion-1")
    assert violations(page) == []
    page.keyboard.press("Enter")
    expect(line).to_have_value("writer:")
    expect(page.get_by_role("option", name="curl")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")

    expect(page.locator("#alerts tbody tr")).to_have_count(1)
    expect(page.locator("#filter-writer")).to_contain_text("Written by == curl")
    expect(line).to_be_focused()
    assert page.url.endswith("/alerts/?writer=curl")
    line.press_sequentially("path:/tmp/s*")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="No alerts match")).to_be_visible()
    page.get_by_label("Remove filter Written by").click()
    expect(page.locator("#alerts tbody tr")).to_have_count(1)
    expect(line).to_have_value("path:/tmp/s*")
    assert page.url.endswith("/alerts/?path=%2Ftmp%2Fs%2A")


def test_a_query_that_cannot_be_read_is_kept_and_explained(estate: Estate, open_as: Open, reader: Any) -> None:
    send(estate, "/tmp/first")
    page = open_as(reader, "/alerts/")
    line = page.get_by_label("Search by ID")
    line.fill("status:active writr:curl")
    page.keyboard.press("Enter")

    expect(page.get_by_role("alert")).to_have_text("There is no filter “writr”. Did you mean writer? (at character 15)")
    expect(line).to_have_value("status:active writr:curl")
    expect(line).to_be_focused()
    expect(page.locator("#alerts tbody tr")).to_have_count(0)
    assert violations(page) == []
    line.fill("status:active")
    page.keyboard.press("Enter")
    expect(page.locator("#alerts tbody tr")).to_have_count(1)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_what_is_typed_while_a_search_is_under_way_is_kept(estate: Estate, open_as: Open, reader: Any) -> None:
    send(estate, "/tmp/first", "/tmp/second")
    page = open_as(reader, "/alerts/")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/alerts/?query=*", hold, times=1)
    line = page.get_by_label("Search by ID")
    with page.expect_request("**/alerts/?query=*"):
        line.press_sequentially("/tmp/")
    line.press_sequentially("first")
    held[0].continue_()

    expect(page.locator("#alerts tbody tr")).to_have_count(1)
    expect(line).to_have_value("/tmp/first")
    expect(line).to_be_focused()


def test_what_is_entered_while_a_search_is_under_way_is_searched(estate: Estate, open_as: Open, reader: Any) -> None:
    send(estate, "/tmp/first", "/tmp/second")
    page = open_as(reader, "/alerts/")
    held = Held(page, "**/alerts/?query=tmp")
    line = page.get_by_label("Search by ID")
    with page.expect_request("**/alerts/?query=tmp"):
        line.press_sequentially("tmp")
    line.press_sequentially(" path:/tmp/s*")
    page.keyboard.press("Enter")
    expect(page.locator("#alerts tbody tr")).to_have_count(1)
    held.release()

    expect(page.locator("#filter-path")).to_contain_text("Path == /tmp/s*")
    expect(page.locator("#alerts tbody tr")).to_have_count(1)
    assert page.url.endswith("/alerts/?q=tmp&path=%2Ftmp%2Fs%2A")


def test_a_completion_that_is_chosen_stays_so_when_others_come_late(estate: Estate, open_as: Open, reader: Any) -> None:
    page = open_as(reader, "/alerts/")
    line = page.get_by_label("Search by ID")
    line.press_sequentially("wr")
    chosen = page.locator("#completions [aria-selected=true]")
    expect(page.locator("#completions [role=option]")).to_have_count(3)
    held = Held(page, "**/alerts/completions/**")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(chosen).to_contain_text("writer_session:")
    line.press_sequentially("i")
    held.release()
    expect(page.locator("#completions")).to_have_attribute("data-line", "wri")
    expect(chosen).to_contain_text("writer_session:")
    expect(line).to_have_attribute("aria-activedescendant", "completion-2")
    page.unroute_all()

    page.keyboard.press("Enter")

    expect(line).to_have_value("writer_session:")


def test_a_completion_replaces_what_was_typed_since_it_was_offered(estate: Estate, open_as: Open, reader: Any) -> None:
    page = open_as(reader, "/alerts/")
    line = page.get_by_label("Search by ID")
    line.press_sequentially("st")
    expect(page.locator("#completions [role=option]")).to_have_text(["status: Status"])
    held = Held(page, "**/alerts/completions/**")
    line.press_sequentially("at")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")

    expect(line).to_have_value("status:")
    held.release()
    expect(page.locator("#completions [role=option]")).to_have_count(5)


def test_results_that_come_late_leave_the_completion_that_is_chosen(estate: Estate, open_as: Open, reader: Any) -> None:
    send(estate, "/tmp/first")
    page = open_as(reader, "/alerts/")
    line = page.get_by_label("Search by ID")
    held = Held(page, "**/alerts/?query=first")
    with page.expect_request("**/alerts/?query=first"):
        line.press_sequentially("first")
    line.press_sequentially(" wr")
    expect(page.locator("#completions [role=option]")).to_have_count(3)
    page.keyboard.press("ArrowDown")
    page.evaluate("document.getElementById('results').firstElementChild.id = 'before'")
    held.release()
    expect(page.locator("#before")).to_have_count(0)
    expect(page.locator("#completions [aria-selected=true]")).to_contain_text("writer:")

    page.keyboard.press("Enter")

    expect(line).to_have_value("first writer:")
    expect(page.get_by_role("option")).not_to_have_count(0)


def test_completions_come_while_something_else_is_swapped(estate: Estate, open_as: Open, reader: Any) -> None:
    page = open_as(reader, "/alerts/")
    page.get_by_label("Search by ID").press_sequentially("status:")
    page.evaluate(
        """() => {
            const target = document.querySelector("header");
            const detail = { target, elt: target, requestConfig: { target, elt: target }, xhr: new XMLHttpRequest() };
            document.dispatchEvent(new CustomEvent("htmx:beforeSwap", { detail }));
        }"""
    )

    expect(page.locator("#completions [role=option]")).to_have_count(5)


def test_escape_closes_the_completions_and_keeps_the_query(estate: Estate, open_as: Open, reader: Any) -> None:
    page = open_as(reader, "/alerts/")
    line = page.get_by_label("Search by ID")
    line.press_sequentially("status:")
    expect(page.locator("#completions [role=option]")).to_have_count(5)
    page.keyboard.press("Escape")

    expect(page.locator("#completions [role=option]")).to_have_count(0)
    expect(line).to_have_value("status:")
    page.keyboard.press("ArrowDown")
    page.get_by_role("option", name="resolved Resolved").click()
    expect(line).to_have_value("status:resolved ")
    expect(page.locator("#filter-status")).to_contain_text("Status == Resolved")
