"""The printable report, and the links from an alert to what is alike and to sites that know its file."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from accounts.models import User
from drift.alerts.actions.ingest import ingest
from drift.alerts.domain.hash_sums import look_up_links
from drift.alerts.models import Alert
from portal import config
from tests.unit.drift.alerts.conftest import Estate, event, now, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[Any], Client]
WRITER = {"name": "curl", "pid": 9, "path": "/usr/bin/curl"}


@pytest.fixture
def alert(estate: Estate) -> Alert:
    written = {**WRITER, "at": now().isoformat()}
    ingest(estate.sensors[0], raw(event(process__path="/tmp/\u202egnp.exe", process__written_by=written)))
    ingest(estate.sensors[0], raw(event(process__path="/tmp/second", process__sha256="b" * 64)))
    found: Alert = Alert.objects.order_by("pk")[0]
    Alert.objects.update(incident=found.incident)
    return found


def test_a_report_tells_all_without_scripts(alert: Alert, reader: User, client_of: ClientOf) -> None:
    answer = client_of(reader).get(f"/alerts/{alert.pk}/report/")
    page = answer.content.decode()

    assert answer.status_code == 200
    assert "<script" not in page
    assert "style=" not in page
    assert "\u202e" not in page
    for part in (
        "a" * 64,
        "written by curl",
        "ghcr.io/team/app:1.2",
        "Alert on the shop",
        "/tmp/second",
        "n1",
        "sub-1",
    ):
        assert part in page


def test_a_report_of_an_alert_out_of_scope_does_not_exist(alert: Alert, operator: User, client_of: ClientOf) -> None:
    User.objects.filter(pk=operator.pk).update(is_scoped=True)

    assert client_of(User.objects.get(pk=operator.pk)).get(f"/alerts/{alert.pk}/report/").status_code == 404


def test_each_fact_links_to_the_alerts_that_have_it(alert: Alert, reader: User, client_of: ClientOf) -> None:
    browser = client_of(reader)
    page = browser.get(f"/alerts/{alert.pk}/").content.decode().replace("&amp;", "&")
    links = dict.fromkeys(re.findall(r'href="(/alerts/\?status=any&(\w+)=[^"]*)"', page))

    names = [name for _, name in links]
    assert {"hash", "path", "image", "node", "pod", "writer", "parent"} <= set(names)
    for url, name in links:
        listed = browser.get(url)
        assert listed.status_code == 200
        assert f'id="alert-{alert.pk}"' in listed.content.decode(), name


def test_look_up_links_are_off_at_first_and_name_their_host(
    alert: Alert, reader: User, client_of: ClientOf, settings: Any
) -> None:
    browser = client_of(reader)
    assert "Look up at" not in browser.get(f"/alerts/{alert.pk}/").content.decode()

    settings.HASH_LOOKUP_URLS = [("virus.example", "https://virus.example/file/{sha256}")]
    page = browser.get(f"/alerts/{alert.pk}/").content.decode()

    assert f'href="https://virus.example/file/{"a" * 64}" rel="noreferrer' in page
    assert "Look up at virus.example" in page
    assert look_up_links(settings.HASH_LOOKUP_URLS, None) == []


@pytest.mark.parametrize(
    "value",
    [
        "http://virus.example/{sha256}",
        "https://virus.example/file",
        "https://{sha256}.example/",
        "https://user@virus.example/{sha256}",
        "https:///{sha256}",
        "javascript:alert('{sha256}')",
        "//virus.example/{sha256}",
    ],
)
def test_a_template_that_is_not_https_stops_the_start(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASH_TEST_URLS", value)

    with pytest.raises(ImproperlyConfigured, match="HASH_TEST_URLS"):
        config.address_templates("HASH_TEST_URLS", "{sha256}", "x")


def test_templates_are_read_with_their_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASH_TEST_URLS", "https://a.example/{sha256}, https://b.example:8443/?q={sha256}")

    assert config.address_templates("HASH_TEST_URLS", "{sha256}", "x") == [
        ("a.example", "https://a.example/{sha256}"),
        ("b.example", "https://b.example:8443/?q={sha256}"),
    ]
