"""Addresses of webhooks, which with chat services are passwords: sealed where they are stored, masked where shown."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from cryptography.fernet import InvalidToken
from django.conf import settings as portal_settings
from django.db import IntegrityError, connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client

from accounts.models import AuditEntry
from drift.notify.actions import deliveries, post_webhook
from drift.notify.actions import settings as settings_actions
from drift.notify.domain import webhook_secret
from drift.notify.models import NoticeDelivery, NoticeState, Webhook
from portal.database_grants import grant_to_portal_role
from portal.embedded.postgres import PORTAL_ROLE
from tests.database import as_owner

pytestmark = [pytest.mark.services, pytest.mark.django_db]

PASSWORD = "T0-B0-pass-word"


def add(actor: Any, url: str, name: str = "chat") -> Webhook:
    return settings_actions.add_webhook(actor, name=name, url=url, alerts=True, health=True)[0]


def address_of(row: Webhook) -> str:
    return webhook_secret.unseal(bytes(row.sealed_url), (portal_settings.SECRET_KEY,), webhook_secret.ADDRESS)


@pytest.mark.parametrize(
    ("url", "shown", "host"),
    [
        (f"https://hooks.example.com/services/{PASSWORD}", "https://hooks.example.com/…", "hooks.example.com"),
        (f"https://hooks.example.com/?key={PASSWORD}", "https://hooks.example.com/…", "hooks.example.com"),
        (f"https://hooks.example.com?key={PASSWORD}", "https://hooks.example.com/…", "hooks.example.com"),
        (f"https://hooks.example.com:8443/{PASSWORD}", "https://hooks.example.com:8443/…", "hooks.example.com"),
        (f"https://[2606:2800::1]/{PASSWORD}", "https://[2606:2800::1]/…", "2606:2800::1"),
        (f"https://bücher.example.com/{PASSWORD}", "https://xn--bcher-kva.example.com/…", "xn--bcher-kva.example.com"),
        ("https://hooks.example.com", "https://hooks.example.com/", "hooks.example.com"),
    ],
)
def test_the_page_and_the_audit_log_show_the_host_and_nothing_after_it(
    admin: Any, client_of: Callable[[Any], Client], url: str, shown: str, host: str
) -> None:
    browser = client_of(admin)
    added = browser.post("/notifications/settings/webhooks/", {"name": "chat", "url": url, "alerts": "on"})
    page = browser.get("/notifications/settings/").content.decode()
    row = Webhook.objects.get()
    browser.post(f"/notifications/settings/webhooks/{row.pk}/remove/")

    assert f">{shown}<" in page
    assert PASSWORD not in page + added.content.decode()
    assert PASSWORD not in str(Webhook.objects.values())
    entries = AuditEntry.objects.filter(object_type="webhook").order_by("pk")
    assert [(entry.after or entry.before or {})["host"] for entry in entries] == [host] * 2
    assert PASSWORD not in str(list(entries.values()))


def test_a_notice_goes_to_the_whole_address(owner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    posted: list[str] = []
    monkeypatch.setattr(post_webhook, "post", lambda url, *_: posted.append(url))
    address = f"https://hooks.example.com/services/{PASSWORD}?thread=1"
    deliveries.send_test(owner, add(owner, address).pk)
    deliveries.send_due()
    assert posted == [address]


def test_after_a_change_of_the_secret_key_a_delivery_waits_and_says_why(
    owner: Any, client_of: Callable[[Any], Client], settings: Any
) -> None:
    row = add(owner, f"https://hooks.example.com/{PASSWORD}")
    settings.SECRET_KEY = "another" * 10
    deliveries.send_test(owner, row.pk)
    deliveries.send_due()

    delivery = NoticeDelivery.objects.get()
    assert delivery.state == NoticeState.WAITING
    assert delivery.error == "Its secrets were encrypted under another SECRET_KEY: remove the webhook and add it again."
    page = client_of(owner).get("/notifications/settings/")
    assert "https://hooks.example.com/…" in page.content.decode()
    assert settings_actions.remove_webhook(owner, row.pk)


def test_an_address_in_the_column_of_the_secret_is_rejected(owner: Any) -> None:
    row = add(owner, "https://hooks.example.com/")
    with pytest.raises(InvalidToken):
        webhook_secret.unseal(bytes(row.sealed_url), (portal_settings.SECRET_KEY,), webhook_secret.SECRET)


def test_a_failed_delivery_records_and_logs_nothing_of_the_address(
    owner: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: Any, **__: Any) -> Any:
        raise httpx.ConnectError(f"cannot reach https://hooks.example.com/{PASSWORD}")

    row = add(owner, f"https://hooks.example.com/{PASSWORD}")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("93.184.216.34", 443))])
    monkeypatch.setattr(post_webhook, "_send", failing)
    with caplog.at_level("DEBUG"):
        deliveries.send_test(owner, row.pk)
        deliveries.send_due()
    assert NoticeDelivery.objects.get().error == "ConnectError"
    assert PASSWORD not in caplog.text


def migrate(*names: tuple[str, str]) -> None:
    """Migrate to these migrations; without any, to the newest of all apps."""
    with as_owner() as cursor:
        # The flush after a test sets every sequence back, and keeps this table.
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('django_migrations', 'id'), max(id)) FROM django_migrations"
        )
        executor = MigrationExecutor(connection)
        executor.migrate(list(names) or executor.loader.graph.leaf_nodes())
        grant_to_portal_role(PORTAL_ROLE)


@pytest.fixture
def newest_afterwards(transactional_db: None) -> Iterator[None]:
    yield
    migrate()


def stored_file() -> bytes:
    """The table as it is on the disk, with the rows that no query returns any more."""
    with as_owner() as cursor:
        cursor.execute("CHECKPOINT")
        cursor.execute("SELECT pg_read_binary_file(pg_relation_filepath('notify_webhook'))")
        return bytes(cursor.fetchone()[0])


def clear_addresses() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT url FROM notify_webhook ORDER BY id")
        return [url for (url,) in cursor.fetchall()]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("newest_afterwards")
def test_the_migration_seals_old_addresses_and_can_be_undone(owner: Any) -> None:
    addresses = [f"https://hooks.example.com/services/{PASSWORD}", f"https://[2606:2800::1]:8443?key={PASSWORD}"]
    rows = [add(owner, address, name=address[-30:-20]) for address in [*addresses, "https://plain.example.com/"]]
    deliveries.send_test(owner, rows[0].pk)
    migrate(("notify", "0006_valid_notice_kinds"))
    assert clear_addresses() == [*addresses, "https://plain.example.com/"]
    assert PASSWORD.encode() in stored_file()

    migrate(("notify", "0008_rewrite_webhooks"))
    assert clear_addresses() == [""] * 3
    assert PASSWORD.encode() not in stored_file()
    shown = ["https://hooks.example.com/…", "https://[2606:2800::1]:8443/…", "https://plain.example.com/"]
    for row, address, masked in zip(rows, [*addresses, "https://plain.example.com/"], shown, strict=True):
        row.refresh_from_db()
        assert (address_of(row), row.masked_url) == (address, masked)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("newest_afterwards")
def test_undoing_the_migration_under_another_secret_key_leaves_the_address_empty(owner: Any, settings: Any) -> None:
    add(owner, "https://hooks.example.com/")
    settings.SECRET_KEY = "another" * 10
    migrate(("notify", "0006_valid_notice_kinds"))
    assert clear_addresses() == [""]


def test_portals_of_the_previous_version_read_the_table_and_cannot_add_an_address_in_the_clear(owner: Any) -> None:
    add(owner, "https://hooks.example.com/")
    assert clear_addresses() == [""]
    with pytest.raises(IntegrityError, match="sealed_url"), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO notify_webhook (name, url, sealed, alerts, health, audit_heads, created_at) "
            "VALUES ('old', 'https://old.example.com/', '', true, true, false, now())"
        )
