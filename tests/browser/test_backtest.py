"""Backtests in a real browser: started from a draft, followed to the end, checked by axe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from drift.backtest.actions import runs as actions
from drift.backtest.models import BacktestRun, RunState
from drift.policy.actions import drafts
from drift.policy.domain import edits
from drift.policy.queries.drafts import draft_state
from tests.unit.drift.backtest.conftest import cluster, store  # noqa: F401 - fixtures

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Open = Callable[..., Page]
Store = Callable[..., Any]


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_a_backtest_is_started_and_read(open_as: Open, operator: Any, queued: list[Any], colours: str) -> None:
    page = open_as(operator, "/settings/policy/backtests/", color_scheme=colours)
    assert Axe().run(page).violations_count == 0
    page.get_by_role("button", name="Start backtest").click()
    expect(page.get_by_text(str(RunState.QUEUED.label)).first).to_be_visible()
    actions.perform(BacktestRun.objects.get().pk)
    expect(page.get_by_text(str(RunState.DONE.label)).first).to_be_visible()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_a_draft_s_review_shows_what_it_would_change(
    open_as: Open,
    operator: Any,
    queued: list[Any],
    store: Store,  # noqa: F811 - the fixture
    colours: str,
) -> None:
    for number in range(3):
        store("kube-system", f"/tmp/tool-{number}", count=number + 1)
    store("shop")
    state = draft_state(operator)
    drafts.change_draft(state, edits.set_enabled([state.document["rules"][0]["id"]], enabled=False))
    page = open_as(operator, "/settings/policy/", color_scheme=colours)
    page.get_by_role("link", name="Review").click()
    panel = page.get_by_role("dialog")
    panel.get_by_role("button", name="Backtest on the last 7 days").click()
    expect(panel.get_by_role("progressbar", name="Progress of the backtest")).to_be_visible()
    actions.perform(BacktestRun.objects.get().pk)
    vanishing = panel.get_by_role("region", name="Alerts that would disappear")
    expect(vanishing.get_by_text("/tmp/tool-2")).to_be_visible()
    expect(panel.get_by_text("No alert would appear.")).to_be_visible()
    changed = panel.get_by_role("region", name="Different decisions")
    expect(changed.get_by_text("Alert on Kube-System namespace")).to_be_visible()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    panel.get_by_role("link", name=f"Open backtest {BacktestRun.objects.get().pk}").click()
    expect(page.get_by_role("region", name="Alerts that would disappear")).to_be_visible()
