"""Browser tests: the system's Chromium, pages opened as a user, and a console without errors."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from drift.health.actions import portal_checks
from drift.policy.actions import versions
from drift.policy.models import PolicyVersion
from tests.database import as_owner
from tests.unit.drift.policy.samples import document

CHROME = os.environ.get("CHROME") or shutil.which("chromium") or shutil.which("google-chrome")
EXPECTED_REFUSALS = ("401", "409", "422", "429")
"""Chromium notes every refused request in its console; that these are refused is what some tests are about."""

SUPERSEDED = ("htmx:sendAbort", "htmx:afterRequest")
"""htmx notes requests that a later one took the place of; of one that failed it notes more."""

expect.set_options(timeout=30_000)  # a machine may be busy; bench/ measures the speed of pages


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The system's Chromium; as root it needs --no-sandbox."""
    if CHROME is None:
        pytest.skip("no Chromium: set CHROME, or install chromium")
    return {**browser_type_launch_args, "executable_path": CHROME, "args": ["--no-sandbox"]}


@pytest.fixture(autouse=True)
def _no_report_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker, beat or gateway runs beside these tests: their Redis seems to have just started."""
    look = portal_checks.redis_facts
    monkeypatch.setattr(portal_checks, "redis_facts", lambda: dataclasses.replace(look(), uptime=0.0))


@pytest.fixture
def complaints() -> list[str]:
    """What the console complained of. A test that makes requests fail clears it."""
    return []


@pytest.fixture
def open_as(
    browser: Browser, live_server: Any, client_of: Callable[[Any], Client], complaints: list[str]
) -> Iterator[Callable[..., Page]]:
    """Opens a path as a user; keyword arguments go to the browser's context (color_scheme, viewport …).

    Whatever the console complains of fails the test at its end.
    """
    contexts: list[BrowserContext] = []

    def note(line: ConsoleMessage) -> None:
        refusal = any(f"status of {status}" in line.text for status in EXPECTED_REFUSALS)
        if line.type in {"error", "warning"} and not refusal and not line.text.startswith(SUPERSEDED):
            complaints.append(line.text)

    def open_page(user: Any, path: str, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
        contexts.append(context)
        session = client_of(user).cookies["sessionid"].value
        context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
        page = context.new_page()
        _route_at_once(page)
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(live_server.url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    _wait_for_idle_database()
    assert complaints == []


@pytest.fixture
def nine_rules(admin: Any, queued: list[Any]) -> PolicyVersion:
    """Version 2 with Rule 1 to Rule 9."""
    return versions.save_document(admin, document(*(f"Rule {number}" for number in range(1, 10))), 1).version


def _route_at_once(page: Page) -> None:
    """Make `page.route` return once it holds in the page too: Chromium answers before the page's loaders have changed,
    and on a busy machine what a test did next was not intercepted.
    """
    route = page.route

    def routed(*arguments: Any, **options: Any) -> None:
        route(*arguments, **options)
        page.evaluate("0")  # follows the new loaders on their way to the page

    page.route = routed  # type: ignore[method-assign, assignment]


def _wait_for_idle_database(most: float = 60.0) -> None:
    """Until no request of a closed page is still being answered: it would deadlock with the flush after the test."""
    busy = """SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
        AND state <> 'idle'"""
    deadline = time.monotonic() + most
    while time.monotonic() < deadline:
        with as_owner() as cursor:
            cursor.execute(busy)
            if cursor.fetchone() == (0,):
                return
        time.sleep(0.02)
