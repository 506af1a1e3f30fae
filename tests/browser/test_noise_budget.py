"""Noise budgets in a real browser: asked for, followed, read, copied to the draft; wide, narrow and dark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from drift.backtest.actions import noise_runs as actions
from drift.backtest.actions.noise_runs import NoiseRequest
from drift.backtest.models import NoiseRun
from drift.fleet.models import Cluster
from tests.unit.drift.backtest.conftest import cluster  # noqa: F401 - a fixture
from tests.unit.drift.backtest.noise_stored import store_noise

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Open = Callable[..., Page]
PAGE = "/settings/policy/noise-budgets/"
SIZES = {"wide": {"width": 1440, "height": 900}, "narrow": {"width": 390, "height": 844}}


def check(page: Page, width: int) -> None:
    """Hold the page to axe, and to its window: nothing is wider than it."""
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("size", "colours"), [("wide", "light"), ("narrow", "light"), ("wide", "dark")])
def test_a_plan_is_asked_for_read_and_copied_by_keyboard(
    open_as: Open,
    operator: Any,
    queued: list[Any],
    cluster: Cluster,  # noqa: F811 - the fixture
    size: str,
    colours: str,
) -> None:
    store_noise(cluster)
    page = open_as(operator, PAGE, color_scheme=colours, viewport=SIZES[size])
    width = SIZES[size]["width"]
    expect(page.get_by_text("No noise budgets yet")).to_be_visible()
    check(page, width)
    page.get_by_label("No more than").fill("1")
    page.get_by_label("In", exact=True).select_option(f"namespace:{cluster.pk}:kube-system")
    page.get_by_role("button", name="Find a plan").press("Enter")
    expect(page.get_by_role("progressbar", name="Progress of the noise budget")).to_be_visible()
    actions.perform_noise_run(NoiseRun.objects.get().pk)
    expect(page.get_by_text("1 change would have kept the budget")).to_be_visible()
    expect(page.get_by_role("heading", name="1. Noise: hook-0 and hook-1")).to_be_visible()
    refused = page.get_by_role("region", name="What it refuses to absorb")
    expect(refused.get_by_text("Started or written by somebody")).to_be_visible()
    for summary in ("Alerts of each day", "Examples", "Contents and workloads"):
        page.get_by_text(summary, exact=True).first.click()
    expect(page.get_by_text("blue / kube-system / cart / app")).to_be_visible()
    check(page, width)
    page.get_by_role("button", name="Copy to my draft").press("Enter")
    expect(page.get_by_text("are in your draft")).to_be_visible()
    expect(page.get_by_role("link", name="Noise: hook-0 and hook-1")).to_be_visible()


def test_a_budget_out_of_reach_says_what_it_refuses(
    open_as: Open,
    operator: Any,
    queued: list[Any],
    cluster: Cluster,  # noqa: F811 - the fixture
) -> None:
    store_noise(cluster)
    run = actions.start_noise_run(operator, NoiseRequest(0))
    page = open_as(operator, f"{PAGE}{run.pk}/", viewport=SIZES["narrow"])
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    actions.perform_noise_run(run.pk)
    expect(page.get_by_text("The budget can't be kept: on 12 of 12 days")).to_be_visible()
    check(page, 390)
    page.get_by_role("link", name="what it refuses").click()
    expect(page.get_by_role("heading", name="What it refuses to absorb")).to_be_in_viewport()
