"""A page whose polls are not answered says so, and no longer that all is well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from drift import queue
from drift.fleet.models import EnrolmentToken, SensorStatus
from drift.health.actions import portal_checks
from drift.health.domain.process_reports import KEY
from drift.health.domain.task_reports import ENDED_AT
from tests.browser.rules import look
from tests.unit.drift.health import well

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

Open = Callable[..., Page]
STALE = "the portal does not answer"
REFUSED = "the portal refuses it. Reload the page."
FROM_PORTAL = {"Vary": "HX-Request"}


def _is_cut_off(route: Route) -> None:
    route.abort()


def _has_no_database(route: Route) -> None:
    route.fulfill(status=503, headers=FROM_PORTAL, body="The database does not respond")


def _is_refused(route: Route) -> None:
    route.fulfill(status=403, headers=FROM_PORTAL, body="Your role does not allow this")


def _hangs(_: Route) -> None:
    """Never answer."""


def poll(page: Page, part: str) -> None:
    """Let the part poll at once, as it does every few seconds."""
    page.evaluate(
        """part => {
            const source = document.querySelector(part), target = part, swap = "outerHTML";
            window.htmx.ajax("GET", source.getAttribute("hx-get"), { source, target, swap }).catch(() => {});
        }""",
        part,
    )


def wait_longer(page: Page) -> None:
    page.evaluate("{ const now = Date.now; Date.now = () => now() + 16_000; }")


@pytest.mark.parametrize("answer", [_is_cut_off, _has_no_database, _is_refused, _hangs])
def test_a_health_page_that_is_not_kept_current_does_not_say_that_all_is_well(
    open_as: Open,
    owner: Any,
    queued: list[Any],
    settings: Any,
    complaints: list[str],
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[Route], None],
) -> None:
    monkeypatch.setattr(portal_checks, "is_live", lambda *_: True)  # nothing reports again in these tests
    well.sensor()
    well.portal(settings)
    page = open_as(owner, "/settings/health/")
    stale = page.get_by_text(REFUSED if answer is _is_refused else STALE)
    green = page.get_by_text("All is well: each of")
    expect(green).to_be_visible()
    page.route("**/settings/health/", answer)
    poll(page, "#health")
    expect(stale).to_have_count(0)
    wait_longer(page)
    expect(stale).to_contain_text("Not updated since")
    expect(green).to_be_hidden()
    look(page, f"health-{answer.__name__}")
    if answer is not _hangs:
        page.unroute_all()
        poll(page, "#health")
        expect(stale).to_have_count(0)
        expect(green).to_be_visible()
    queue.redis_client().delete(KEY, ENDED_AT)
    complaints.clear()


def test_a_node_that_is_shown_as_protected_is_no_longer_where_nothing_is_heard_of_it(
    open_as: Open, admin: Any, queued: list[Any], complaints: list[str]
) -> None:
    well.sensor("ip-10-0-0-7")
    token = EnrolmentToken.objects.get()
    page = open_as(admin, f"/settings/onboarding/{token.pk}/")
    green = page.get_by_text("ip-10-0-0-7 is protected.")
    expect(green).to_be_visible()
    page.route(f"**/settings/onboarding/{token.pk}/", _is_cut_off)
    poll(page, "#progress")
    wait_longer(page)
    expect(page.get_by_text(STALE)).to_be_visible()
    expect(green).to_be_hidden()
    page.unroute_all()
    SensorStatus.objects.update(last_seen_at="2026-01-01T00:00:00Z")
    poll(page, "#progress")
    expect(page.get_by_text("is not known to be protected:")).to_be_visible()
    expect(page.get_by_text(STALE)).to_have_count(0)
    complaints.clear()
