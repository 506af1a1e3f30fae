"""Filters and groups of alerts in a real browser, by keyboard alone: where the focus goes, and what is news."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_alerts_page import send, violations
from tests.unit.alerts.conftest import Estate, make_estate

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]


@pytest.fixture
def estate(transactional_db: None) -> Estate:
    return make_estate()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_the_focus_stays_with_whoever_filters_by_keyboard(
    estate: Estate, open_as: Open, operator: Any, colours: str
) -> None:
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
    expect(page.locator("#alerts th[aria-sort]")).to_contain_text("Last updated time")
    expect(page.locator("#sort-updated")).to_be_focused()
    page.get_by_label("Remove the filter Namespace").press("Enter")
    expect(page.locator("#alerts tbody tr")).to_have_count(2)
    expect(page.locator("#add-filter > summary")).to_be_focused()


def test_groups_tell_of_what_came_and_not_of_what_they_show(estate: Estate, open_as: Open, reader: Any) -> None:
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
