"""Backtests in a real browser: started from a draft, followed to the end, no barriers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from drift.backtest import actions
from drift.backtest.models import BacktestRun, State

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Open = Callable[..., Page]


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_a_backtest_is_started_and_read(open_as: Open, operator: Any, queued: list[Any], colours: str) -> None:
    page = open_as(operator, "/settings/policy/backtests/", color_scheme=colours)
    assert Axe().run(page).violations_count == 0
    page.get_by_role("button", name="Start backtest").click()
    expect(page.get_by_text(str(State.QUEUED.label)).first).to_be_visible()
    actions.perform(BacktestRun.objects.get().pk)
    expect(page.get_by_text(str(State.DONE.label)).first).to_be_visible(timeout=10_000)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
