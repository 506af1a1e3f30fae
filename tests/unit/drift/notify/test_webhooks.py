"""Webhooks: signed, and unable to reach the portal's own network."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from django.test import Client

from accounts.models import AuditEntry
from accounts.network_addresses import is_public
from drift.notify.actions import deliveries, post_webhook
from drift.notify.actions import settings as settings_actions
from drift.notify.errors import AddressRejected
from drift.notify.models import NoticeDelivery, NoticeState, Webhook
from tests.unit.platform_spellings import PLATFORM_SPELLINGS

pytestmark = [pytest.mark.services, pytest.mark.django_db]


class Receiver(http.server.BaseHTTPRequestHandler):
    """Stores received requests; responds as its server is set to."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body))  # type: ignore[attr-defined]
        if self.server.drips:  # type: ignore[attr-defined]
            return self._drip()
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Location", "http://127.0.0.1:9/")
        self.end_headers()
        return None

    def _drip(self) -> None:
        """Send a response byte by byte, for half a minute or until the connection closes."""
        with contextlib.suppress(OSError):
            self.wfile.write(b"HTTP/1.1 204 No Content\r\nX-Slow: ")
            for _ in range(1_000):
                self.wfile.write(b"a")
                time.sleep(0.03)
            self.wfile.write(b"\r\n\r\n")

    def log_message(self, *args: Any) -> None:
        """Log nothing."""


@pytest.fixture
def receiver(settings: Any) -> Iterator[Any]:
    settings.NOTIFY_ALLOW_HTTP = settings.NOTIFY_ALLOW_PRIVATE = True
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.got, server.status, server.drips = [], 204, False  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def webhook(actor: Any, receiver: Any) -> tuple[Webhook, str]:
    url = f"http://localhost:{receiver.server_address[1]}/hook"
    return settings_actions.add_webhook(actor, name="SIEM", url=url, alerts=True, health=True)


def test_a_message_can_be_verified_with_the_secret_that_was_shown(owner: Any, receiver: Any) -> None:
    row, secret = webhook(owner, receiver)
    deliveries.send_test(owner, row.pk)
    deliveries.send_due()

    ((headers, body),) = receiver.got
    parts = dict(part.split("=") for part in headers["Driftwatch-Signature"].split(","))
    expected = hmac.new(secret.encode(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
    assert parts["v1"] == expected
    assert json.loads(body)["kind"] == "test"
    assert headers["Host"] == f"localhost:{receiver.server_address[1]}"
    assert NoticeDelivery.objects.get().state == NoticeState.SENT


@pytest.mark.parametrize("status", [302, 404, 500])
def test_an_unsuccessful_response_is_retried_and_no_redirect_followed(owner: Any, receiver: Any, status: int) -> None:
    row, _ = webhook(owner, receiver)
    receiver.status = status
    deliveries.send_test(owner, row.pk)
    deliveries.send_due()

    delivery = NoticeDelivery.objects.get()
    assert (delivery.state, delivery.error) == (NoticeState.WAITING, f"The server responded with status {status}.")
    assert len(receiver.got) == 1


def test_a_slow_response_has_the_same_timeout_as_a_missing_one(
    owner: Any, receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, _ = webhook(owner, receiver)
    receiver.drips = True
    monkeypatch.setattr(post_webhook, "SECONDS", 0.5)
    deliveries.send_test(owner, row.pk)
    deliveries.send_due()

    delivery = NoticeDelivery.objects.get()
    assert delivery.state == NoticeState.WAITING
    assert delivery.error in {"ConnectTimeout", "ReadTimeout"}


def test_a_dns_lookup_that_times_out_is_retried(owner: Any, receiver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    row, _ = webhook(owner, receiver)
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: done.wait() and [])
    monkeypatch.setattr(post_webhook, "SECONDS", 0.1)
    deliveries.send_test(owner, row.pk)
    deliveries.send_due()
    done.set()

    delivery = NoticeDelivery.objects.get()
    assert (delivery.state, delivery.error, receiver.got) == (NoticeState.WAITING, "ConnectTimeout", [])


@pytest.mark.parametrize(
    ("errno", "state", "error"),
    [
        (socket.EAI_AGAIN, NoticeState.WAITING, "ConnectError"),
        (socket.EAI_NONAME, NoticeState.DEAD, "The host's name cannot be looked up."),
    ],
)
def test_an_unavailable_name_server_is_retried_and_an_unknown_name_is_not(
    owner: Any, receiver: Any, monkeypatch: pytest.MonkeyPatch, errno: int, state: str, error: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise socket.gaierror(errno, "as the resolver says")

    row, _ = webhook(owner, receiver)
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    deliveries.send_test(owner, row.pk)
    deliveries.send_due()

    delivery = NoticeDelivery.objects.get()
    assert (delivery.state, delivery.error) == (state, error)


def test_with_another_secret_key_no_unsigned_message_is_sent(owner: Any, receiver: Any, settings: Any) -> None:
    row, _ = webhook(owner, receiver)
    deliveries.send_test(owner, row.pk)
    settings.SECRET_KEY = "another"
    deliveries.send_due()

    assert receiver.got == []
    assert "SECRET_KEY" in NoticeDelivery.objects.get().error


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "https://u:p@example.com/",
        "https:///x",
        "no address",
        "https://[::1/",
    ],
)
def test_an_invalid_url_is_rejected(owner: Any, url: str) -> None:
    with pytest.raises(AddressRejected):
        settings_actions.add_webhook(owner, name="x", url=url, alerts=True, health=True)


PRIVATE = [
    "127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
    "fec0::1", "::7f00:1",
    # A cloud's services to its machines, and every form that carries an IPv4 address.
    "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254",
    "::ffff:168.63.129.16", "::ffff:0:a83f:8110", "::a83f:8110", "64:ff9b::a83f:8110", "64:ff9b:1::a83f:8110",
    "2002:a83f:8110::1", "2001:0:4136:e378:8000:63bf:57c0:7eef", "2a00:1::5efe:a83f:8110", "2a00:1::200:5efe:a00:1",
    "198.18.0.1", "203.0.113.1", "240.0.0.1", "255.255.255.255", "2001:db8::1", "100::1", "ff02::1", "::",
]  # fmt: skip


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "168.63.129.15", "2606:2800:220:1:248:1893:25c8:1946", "2a00:1::1"]
)
def test_an_address_on_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_resolves_to_an_internal_address_is_rejected_on_sending(
    owner: Any, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """A public address beside it does not help: the connection could use either."""
    row, _ = settings_actions.add_webhook(owner, name="x", url="https://hooks.example.com/", alerts=True, health=True)
    found = [(0, 0, 0, "", ("93.184.216.34", 443)), (0, 0, 0, "", (address, 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    deliveries.send_test(owner, row.pk)
    deliveries.send_due()

    delivery = NoticeDelivery.objects.get()
    assert (delivery.state, delivery.error) == (NoticeState.DEAD, "The host is not on the public internet.")


@pytest.mark.parametrize("is_private_allowed", [False, True])
@pytest.mark.parametrize("host", PLATFORM_SPELLINGS)
def test_no_spelling_of_a_cloud_s_own_services_is_posted_to_whatever_the_operator_allows(
    settings: Any, host: str, is_private_allowed: bool
) -> None:
    settings.NOTIFY_ALLOW_PRIVATE = is_private_allowed
    with pytest.raises(AddressRejected):
        post_webhook.post(f"https://{host}/", b"{}", {})
    with pytest.raises(AddressRejected):
        post_webhook.checked_host(host.strip("[]"), 514)  # as for a SIEM


def test_a_name_that_leads_to_a_cloud_s_own_service_is_rejected_where_private_addresses_are_allowed(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.NOTIFY_ALLOW_PRIVATE = True
    found = [(0, 0, 0, "", ("10.1.2.3", 443)), (0, 0, 0, "", ("168.63.129.16", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(AddressRejected, match="a cloud's service"):
        post_webhook.checked_host("siem.example", 514)


def test_the_connection_uses_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200)

    found = [(0, 0, 0, "", ("93.184.216.34", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    post_webhook.post("https://hooks.example.com/x", b"{}", {}, transport=httpx.MockTransport(answer))

    (request,) = requests
    assert request.url.host == "93.184.216.34"
    assert request.headers["Host"] == "hooks.example.com"
    assert request.extensions["sni_hostname"] == "hooks.example.com"


def test_the_secret_is_shown_once_and_never_stored_in_plain_text(
    admin: Any, client_of: Callable[[Any], Client]
) -> None:
    browser = client_of(admin)
    values = {"name": "SIEM", "url": "https://hooks.example.com/", "alerts": "on"}
    page = browser.post("/notifications/settings/webhooks/", values).content.decode()
    secret = page.partition("<code>dwh_")[2].partition("</code>")[0]

    assert secret
    assert secret not in browser.get("/notifications/settings/").content.decode()
    assert secret.encode() not in bytes(Webhook.objects.get().sealed)
    assert secret not in str(list(AuditEntry.objects.values_list("after", flat=True)))


def test_a_webhook_s_url_which_may_contain_a_secret_is_in_no_log_or_audit_entry(
    owner: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    address = "https://hooks.example.com/services/pass-word"
    row, _ = settings_actions.add_webhook(owner, name="x", url=address, alerts=True, health=True)
    found = [(0, 0, 0, "", ("93.184.216.34", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with caplog.at_level("INFO"):
        post_webhook.post(address, b"{}", {}, transport=httpx.MockTransport(lambda _: httpx.Response(200)))
    settings_actions.remove_webhook(owner, row.pk)

    entries = AuditEntry.objects.filter(object_type="webhook").order_by("pk")
    recorded = [entry.after or entry.before for entry in entries]
    assert [each and each["host"] for each in recorded] == ["hooks.example.com"] * 2
    assert "pass-word" not in str(recorded) + caplog.text
