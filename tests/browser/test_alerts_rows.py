"""Rows of the list of alerts: two lines at most and the status in view, one line where they are compact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_alerts_page import send
from tests.unit.drift.alerts.conftest import Estate, make_estate

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[[Any, str], Page]
HEIGHTS = "[...document.querySelectorAll('#alerts tbody tr')].map((row) => row.getBoundingClientRect().height)"
LONG = "/var/lib/" + "a-very-long-name-of-a-file-" * 6


@pytest.fixture
def estate(transactional_db: None) -> Estate:
    return make_estate()


@pytest.mark.parametrize("width", [1280, 1440])
def test_a_row_has_two_lines_and_shows_its_status(estate: Estate, open_as: Open, operator: Any, width: int) -> None:
    send(estate, LONG, "/tmp/first")
    page = open_as(operator, "/alerts/")
    page.set_viewport_size({"width": width, "height": 900})

    status = page.locator("#alerts tbody td.status").first
    expect(status).to_be_in_viewport(ratio=1)
    assert max(page.evaluate(HEIGHTS)) <= 48


@pytest.mark.parametrize("width", [1280, 1440])
def test_incidents_have_rows_as_high_as_alerts(estate: Estate, open_as: Open, operator: Any, width: int) -> None:
    send(estate, LONG, f"{LONG}2", "/tmp/first")
    page = open_as(operator, "/alerts/?view=incidents")
    page.set_viewport_size({"width": width, "height": 900})

    expect(page.locator("#alerts tbody td.status").first).to_be_in_viewport(ratio=1)
    assert max(page.evaluate(HEIGHTS)) <= 48
    assert page.locator("#alerts .alert-title").count() == page.locator("#alerts tbody tr").count()


def test_compact_rows_have_one_line_and_are_remembered(estate: Estate, open_as: Open, operator: Any) -> None:
    send(estate, LONG, "/tmp/first")
    page = open_as(operator, "/alerts/")

    page.locator("#views summary").click()
    page.get_by_role("button", name="Compact rows").click()
    expect(page.locator("#alerts.compact")).to_be_visible()

    page.reload()
    expect(page.locator("#alerts.compact")).to_be_visible()
    assert max(page.evaluate(HEIGHTS)) <= 32
