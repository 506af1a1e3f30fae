"""Pages on a telephone: nothing wider than the screen but tables, which scroll by themselves (WCAG 2.2, 1.4.10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from drift.fleet.actions import rollouts
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]
SETTLED = "() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))"
"""Wait until the browser has dispatched pending events, such as the toggle of a menu."""
NARROW = {"width": 390, "height": 844}


def test_no_page_is_wider_than_a_narrow_screen(open_as: Open, owner: Any, queued: list[Any]) -> None:
    cluster = estate.cluster()
    sensor, _ = estate.sensor(cluster, "gke-training-pool-1-x7k2")
    estate.seen(sensor)
    estate.version(2)
    rollouts.start_rollout(2)
    page = open_as(owner, "/settings/environments/", viewport=NARROW)
    site = page.url.partition("/settings/")[0]

    wide = []
    for path in (
        *("environments", "policy", "policy/versions", "onboarding", "keys", "health"),
        *("../rollouts/2", f"../clusters/{cluster.pk}", f"../sensors/{sensor.pk}"),
        *("../tokens", "../users", "../audit", "../alerts", "../alerts/charts", "../notifications"),
    ):
        page.goto(f"{site}/settings/{path}/")
        wide += [path] if page.evaluate("document.documentElement.scrollWidth > innerWidth") else []

    assert wide == []


def test_names_stay_whole_on_a_narrow_screen(open_as: Open, owner: Any, queued: list[Any]) -> None:
    cluster = estate.cluster()
    estate.seen(estate.sensor(cluster, "gke-training-pool-1-x7k2")[0])
    page = open_as(owner, f"/clusters/{cluster.pk}/", viewport=NARROW)
    lines = "link => link.getClientRects().length"
    node = page.get_by_role("link", name="gke-training-pool-1-x7k2", exact=True)
    assert node.evaluate(lines) <= 5  # one line per word

    page.goto(page.url.partition("/clusters/")[0] + "/settings/policy/")
    name = page.get_by_role("link", name="Alert on Kube-System namespace", exact=True)
    expect(name).to_be_visible()
    assert name.evaluate(lines) <= 2


def test_no_filter_opens_past_the_edge_of_a_narrow_screen(open_as: Open, owner: Any, queued: list[Any]) -> None:
    cluster = estate.cluster()
    page = open_as(owner, f"/alerts/?cluster={cluster.pk}&provider=aws&namespace=shop&kind=fileless", viewport=NARROW)
    pills = page.locator(".filter summary").all()
    assert len(pills) > 3

    for pill in pills:
        pill.click()
        expect(page.locator(".filter details[open] .menu-items")).to_be_visible()
        page.evaluate(SETTLED)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), pill.inner_text()
        page.keyboard.press("Escape")
