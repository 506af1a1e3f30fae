"""The page of SIEM destinations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accounts.models import AuditEntry, ScopeGroup
from drift.siem.actions.destinations import MAX_DESTINATIONS
from drift.siem.models import SiemDestination
from tests.unit.drift.alerts.conftest import Estate
from tests.unit.drift.siem.conftest import drift
from tests.unit.drift.siem.receiver import Receiver, certificate

pytestmark = [pytest.mark.services, pytest.mark.django_db]
PAGE = "/settings/siem/"
TLS = {"name": "SOC", "transport": "tls", "record_format": "ocsf", "host": "siem.example.com", "port": "6514"}
Add = Callable[..., SiemDestination]


def test_an_admin_adds_a_destination_and_the_audit_log_names_it(admin: Any, client_of: Any, tmp_path: Path) -> None:
    browser = client_of(admin)
    assert "No destinations yet." in browser.get(PAGE).content.decode()
    pem = certificate(tmp_path)[1]
    answer = browser.post(PAGE, {**TLS, "ca": pem, "file_name": "left-over"}, follow=True)
    row = SiemDestination.objects.get()
    assert (row.place, row.record_format, row.file_name, row.ca) == ("siem.example.com:6514", "ocsf", "", pem.strip())
    assert "Destination added." in answer.content.decode()
    entry = AuditEntry.objects.get(object_type="SIEM destination")
    assert (entry.actor, entry.verb, entry.object_name) == (admin, "added", "SOC")
    assert entry.after is not None
    assert entry.after["host"] == "siem.example.com"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": ""}, "This field is required."),
        ({"host": ""}, "Enter the receiver"),
        ({"port": ""}, "Enter the receiver"),
        ({"host": "a b"}, "Enter a host name or an IP address."),
        ({"host": "siem.example.com/path"}, "Enter a host name or an IP address."),
        ({"port": "70000"}, "less than or equal to 65535"),
        ({"ca": "no certificate"}, "Enter certificates in PEM form."),
        ({"transport": "file", "file_name": ""}, "Enter the file"),
        ({"transport": "file", "file_name": "../../etc/cron.d/x"}, "Use letters, digits"),
        ({"transport": "file", "file_name": ".hidden"}, "Use letters, digits"),
        ({"transport": "udp"}, "Select a valid choice."),
        ({"scope_group": "99"}, "Select a valid choice."),
    ],
)
def test_what_cannot_be_a_destination_is_refused(
    admin: Any, client_of: Any, changes: dict[str, str], sentence: str
) -> None:
    answer = client_of(admin).post(PAGE, {**TLS, **changes})
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert not SiemDestination.objects.exists()


def test_what_the_operator_has_not_allowed_is_refused(admin: Any, client_of: Any, settings: Any) -> None:
    settings.NOTIFY_ALLOW_HTTP, settings.SIEM_DIRECTORY = False, ""
    browser = client_of(admin)
    plain = browser.post(PAGE, {**TLS, "transport": "tcp"}).content.decode()
    file = browser.post(PAGE, {**TLS, "transport": "file", "file_name": "x.jsonl"}).content.decode()
    assert "Syslog without TLS needs the setting NOTIFY_ALLOW_HTTP." in plain
    assert "Files need the setting SIEM_DIRECTORY." in file


def test_names_and_files_are_used_once_and_destinations_are_few(admin: Any, client_of: Any, to: Add) -> None:
    to(name="SOC")
    browser = client_of(admin)
    assert "A destination with this name already exists." in browser.post(PAGE, TLS).content.decode()
    same = browser.post(PAGE, {**TLS, "name": "x", "transport": "file", "file_name": "alerts.jsonl"})
    assert "Another destination writes this file." in same.content.decode()
    for number in range(1, MAX_DESTINATIONS):
        to(name=str(number), file_name=f"{number}.jsonl")
    assert "At most 10 destinations are allowed." in browser.post(PAGE, {**TLS, "name": "y"}).content.decode()


def test_the_page_shows_how_far_each_is_behind_and_why(
    estate: Estate, admin: Any, client_of: Any, receiver: Receiver, to: Add
) -> None:
    row = to(receiver, scope_group=ScopeGroup.objects.create(name="team blue"))
    drift(estate, "xmrig", "kinsing")
    SiemDestination.objects.update(failures=3, error="No connection: connection refused.")
    browser = client_of(admin)
    page, table = browser.get(PAGE).content.decode(), browser.get(f"{PAGE}status/").content.decode()
    for shown in (page, table):
        assert "No connection: connection refused." in shown
        assert "team blue" in shown
        assert "<td>2<br>" in shown
    assert "<form" in table
    assert "Add a destination" not in table

    assert browser.post(f"{PAGE}{row.pk}/switch/", {"enabled": "false"}).status_code == 302
    assert "Paused" in browser.get(f"{PAGE}status/").content.decode()
    assert browser.post(f"{PAGE}{row.pk}/test/").status_code == 404
    browser.post(f"{PAGE}{row.pk}/switch/", {"enabled": "true"})
    browser.post(f"{PAGE}{row.pk}/test/")
    assert "Test waits" in browser.get(f"{PAGE}status/").content.decode()
    browser.post(f"{PAGE}{row.pk}/remove/")
    assert not SiemDestination.objects.exists()
    verbs = AuditEntry.objects.filter(object_type="SIEM destination").order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == ["added", "paused", "resumed", "tested", "removed"]
