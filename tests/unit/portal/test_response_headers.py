"""Headers and cookies that browsers act on, on every kind of response."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from accounts.models import User
from drift import queue
from portal.cache_values import JsonValues
from tests.conftest import PASSWORD
from tests.unit.portal.test_access import URLS

pytestmark = [pytest.mark.services, pytest.mark.django_db]

PATHS = ["/", "/alerts/", "/alerts/export.csv", "/api/v1/alerts/", "/nowhere/", "/healthz", "/sign-in/", "/policy/"]


@pytest.mark.parametrize("path", PATHS)
def test_every_response_forbids_caching_sniffing_framing_and_foreign_content(
    path: str, owner: User, client_of: Callable[[User], Client]
) -> None:
    for browser in (Client(), client_of(owner)):
        headers = browser.get(path).headers
        assert headers["Cache-Control"] in {
            "no-store",
            "max-age=0, no-cache, no-store, must-revalidate, private",
        }
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        policy = headers["Content-Security-Policy"]
        for directive in ("default-src 'none'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
            assert directive in policy
        assert "unsafe" not in policy


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["page", "part"])
def test_no_cache_returns_a_part_of_a_page_for_the_page(
    headers: dict[str, str], owner: User, client_of: Callable[[User], Client], queued: list[Any]
) -> None:
    """Of every URL: pages and their parts have the same address, so Back must never find the part there."""
    client, at_fault = client_of(owner), []
    for name, arguments in URLS:
        for browser in (Client(), client):
            response = browser.get(reverse(name, kwargs=arguments), headers=headers)
            varies = {each.strip() for each in response.headers.get("Vary", "").split(",")}
            is_stored = "no-store" not in response.headers["Cache-Control"]
            if is_stored or not {"HX-Request", "HX-History-Restore-Request"} <= varies:
                at_fault.append((name, response.status_code, response.headers["Cache-Control"], varies))
        if name == "accounts:sign-out":
            client = client_of(owner)
    assert len(URLS) > 100
    assert at_fault == []


def test_signing_out_lets_the_browser_forget_its_pages(reader: User, client_of: Callable[[User], Client]) -> None:
    assert client_of(reader).post(reverse("accounts:sign-out")).headers["Clear-Site-Data"] == '"cache"'


def test_every_cookie_is_out_of_the_reach_of_scripts_and_other_sites(reader: User) -> None:
    browser = Client()
    browser.get(reverse("account_login"))
    browser.post(reverse("account_login"), {"username": reader.email, "password": PASSWORD})
    form = {"old_password": PASSWORD, "new_password": "tidal lantern nine", "again": "tidal lantern nine"}
    assert browser.post(reverse("accounts:password"), form).status_code == 302
    assert set(browser.cookies) == {"sessionid", "csrftoken", "known_device", "messages"}
    for cookie in browser.cookies.values():
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"
        assert cookie["path"] == "/"
        assert not cookie["domain"]


def test_with_https_cookies_are_secure_and_bound_to_this_host() -> None:
    program = """
import json
from django.conf import settings
import django
django.setup()
from accounts.actions.sign_in_limits import COOKIE
from accounts.message_storage import HostCookieStorage
print(json.dumps({
    "names": [settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME, COOKIE, HostCookieStorage.cookie_name],
    "secure": [settings.SESSION_COOKIE_SECURE, settings.CSRF_COOKIE_SECURE],
    "hsts": [settings.SECURE_HSTS_SECONDS, settings.SECURE_HSTS_INCLUDE_SUBDOMAINS],
}))
"""
    given = {"PUBLIC_URL": "https://portal.example.com", "HSTS_SUBDOMAINS": "true"}
    environment = {**os.environ, **given, "DJANGO_SETTINGS_MODULE": "portal.settings"}
    shown = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout
    found = json.loads(shown)
    assert all(name.startswith("__Host-") for name in found["names"])
    assert found["secure"] == [True, True]
    assert found["hsts"] == [31_536_000, True]


@pytest.mark.parametrize("value", [0, 7, -1, 12.5, "a warning", True, None, {"a": [1]}])
def test_the_cache_returns_what_was_stored(value: Any) -> None:
    cache.set("kept", value, 60)
    assert cache.get("kept", "nothing") == value


def test_nothing_that_somebody_writes_in_redis_is_run(tmp_path: Any) -> None:
    mark = tmp_path / "ran"
    attack = b"cos\nsystem\n(S'touch " + str(mark).encode() + b"'\ntR."
    cache.set("planted", "harmless", 60)
    queue.redis_client().set(cache.make_key("planted"), attack)
    with pytest.raises(ValueError, match="Expecting value"):
        cache.get("planted")
    assert not mark.exists()
    with pytest.raises(ValueError, match="Expecting value"):
        JsonValues().loads(attack)


@pytest.mark.parametrize("path", ["/", "/sign-in/", "/api/v1/alerts/", "/healthz"])
def test_trace_echoes_nothing(path: str, owner: User, client_of: Callable[[User], Client]) -> None:
    for browser in (Client(), client_of(owner)):
        response = browser.trace(path, headers={"X-Echo": "secret of a cookie"})
        assert response.status_code in {302, 405}
        assert b"secret of a cookie" not in response.content
