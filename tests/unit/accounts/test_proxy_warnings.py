"""A wrong number of trusted proxies is noticed and shown."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from accounts.actions import proxy_warnings
from accounts.queries.proxy_warnings import UNTRUSTED, WRONG_NUMBER, proxy_warning
from portal.checks import trusted_proxies

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    cache.clear()
    proxy_warnings._recorded.clear()


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "warning"),
    [
        (0, "10.0.0.1", "198.51.100.7", UNTRUSTED),
        (0, "127.0.0.1", "198.51.100.7", UNTRUSTED),
        (0, "", "198.51.100.7", UNTRUSTED),
        (0, "10.0.0.1", "", ""),
        (0, "198.51.100.7", "203.0.113.1", ""),  # a stranger's invention
        (1, "10.0.0.1", "198.51.100.7", ""),
        (1, "10.0.0.1", "invented, 198.51.100.7", ""),
        (1, "10.0.0.1", "198.51.100.7, 10.0.0.2", WRONG_NUMBER),
        (2, "10.0.0.1", "198.51.100.7, 10.0.0.2", ""),
        (3, "10.0.0.1", "198.51.100.7, 10.0.0.2", WRONG_NUMBER),
        (1, "10.0.0.1", "10.1.2.3", ""),  # clients within the network
        (1, "10.0.0.1", "", ""),
    ],
)
def test_requests_show_whether_the_number_of_proxies_is_right(
    proxies: int, peer: str, forwarded: str, warning: str, settings: Any
) -> None:
    settings.TRUSTED_PROXIES = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    Client(REMOTE_ADDR=peer, headers=headers).get("/sign-in/")
    assert proxy_warning() == warning
    assert [each.msg for each in trusted_proxies()] == ([warning] if warning else [])


def test_it_is_logged_once_and_shown_to_who_sees_the_whole_estate(
    reader: Any, client_of: Callable[[Any], Client], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            Client(REMOTE_ADDR="10.0.0.1", headers={"X-Forwarded-For": "198.51.100.7"}).get("/sign-in/")
    assert [record.message for record in caplog.records].count(UNTRUSTED) == 1
    browser = client_of(reader)
    assert "TRUSTED_PROXIES is 0" in browser.get("/settings/health/").content.decode()
    reader.is_scoped = True
    reader.save()
    assert "TRUSTED_PROXIES is 0" not in browser.get("/settings/health/").content.decode()


def test_https_without_a_trusted_proxy_is_reported_by_the_deployment_check(settings: Any) -> None:
    settings.PUBLIC_URL = "https://driftwatch.example.com"
    assert [each.id for each in trusted_proxies()] == ["portal.W003"]
    settings.TRUSTED_PROXIES = 1
    assert trusted_proxies() == []
