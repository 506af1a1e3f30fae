"""The policy page with 1,000 rules: until it can be used, and a move's way to the server and back, in a browser.

Chromium, the web process as it is run, and PostgreSQL share this machine's cores. `CHROME` names another Chromium.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench.ingest_portal import portal, static_files

if TYPE_CHECKING:
    from playwright.sync_api import Page

RULES = 1_000
LOADS = 7
MOVES = 9
GOALS = {"page usable": 1_000, "a move there and back": 200}
"""Milliseconds, medians, on 2 cores (issue 4)."""


def main() -> None:
    """Print both as a table beside their goals."""
    chrome = os.environ.get("CHROME") or shutil.which("chromium") or shutil.which("google-chrome")
    if chrome is None:
        sys.exit("bench: no Chromium: set CHROME, or install chromium")
    with static_files(), portal() as web:
        found = _in_browser(chrome, f"http://127.0.0.1:{web.port}", _signed_in())
    print(f"{RULES:,} rules; milliseconds\n")
    print("| | median | slowest | goal |\n|---|---:|---:|---:|")
    for name, times in found.items():
        print(f"| {name} | {statistics.median(times):.0f} | {max(times):.0f} | {GOALS[name]:,} |")


def _signed_in() -> str:
    """Store the rules and an admin; return the key of the admin's session."""
    from importlib import import_module

    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    from accounts.models import User
    from accounts.roles import Role
    from drift.policy.actions import versions

    admin = User.objects.create_user("bench@example.com", "Bench", Role.ADMIN)
    versions.save_document(admin, _document(), 1)
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(admin.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = admin.get_session_auth_hash()
    session.create()
    return str(session.session_key)


def _document() -> dict[str, Any]:
    rules = [
        {
            "id": f"rule-{number}",
            "name": f"Rule {number}",
            "action": "ignore",
            "scope_description": f"Scope {number}",
            "cloud_scope": [{"provider": "azure"}],
            "resource_scope": [
                {"property": "namespace", "any_of": [{"operator": "starts_with", "value": f"team-{number}-"}]}
            ],
            "allow_list": ["/usr/bin/dev1"],
        }
        for number in range(RULES)
    ]
    return {"schema": 1, "rules": rules, "default": {"action": "alert"}}


def _in_browser(chrome: str, url: str, session: str) -> dict[str, list[float]]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chrome, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        context.add_cookies([{"name": "sessionid", "value": session, "url": url}])
        page = context.new_page()
        loads = [_milliseconds(lambda: _open(page, f"{url}/settings/policy/")) for _ in range(LOADS + 1)]
        page.locator("#rule-rows .handle").first.focus()
        moves = [_milliseconds(lambda: _move(page)) for _ in range(MOVES + 1)]
        browser.close()
    # The first of each also warms what any later visitor finds warm.
    return {"page usable": loads[1:], "a move there and back": moves[1:]}


def _open(page: Page, url: str) -> None:
    """Until the list is there and its script has looked at every row."""
    page.goto(url, wait_until="commit")
    page.locator("#edit:disabled").wait_for()
    page.locator("#rule-rows tr.default").wait_for()


def _move(page: Page) -> None:
    """By keyboard, which sends what a drag's drop sends, until the server has stored the order."""
    with page.expect_response(lambda response: response.url.endswith("/settings/policy/order/")):
        page.keyboard.press("Alt+ArrowDown")
    page.locator("#rule-rows:not([aria-busy])").wait_for()


def _milliseconds(act: Callable[[], None]) -> float:
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1_000


if __name__ == "__main__":
    main()
