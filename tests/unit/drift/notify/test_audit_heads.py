"""The audit log's head reaches those who subscribe to it, once a day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts import audit
from accounts.audit_chain import Head
from accounts.models import AuditEntry
from accounts.queries.audit_verification import current_head, verify_audit_log
from drift.notify.actions import deliveries
from drift.notify.actions import settings as settings_actions
from drift.notify.actions.audit_heads import INTERVAL, send_audit_head
from drift.notify.models import Kind, MailSettings, Notice, NoticeDelivery, Webhook
from tests.database import without_triggers

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _mail_server(settings: Any, queued: Any) -> None:
    settings.EMAIL_HOST = "mail.example.com"


def subscribe(**values: Any) -> None:
    MailSettings.objects.update(roles=[], addresses=["vault@example.com"], audit_heads=True, **values)


def test_nobody_gets_heads_who_did_not_subscribe(owner: Any) -> None:
    MailSettings.objects.update(roles=["owner"], addresses=["vault@example.com"])
    assert send_audit_head() is None
    assert not Notice.objects.exists()


def test_a_mailed_head_reveals_a_log_that_was_cut_off() -> None:
    subscribe()
    audit.record(None, "changed", "thing", 1)
    audit.record(None, "changed", "thing", 2)
    send_audit_head()
    deliveries.send_due()
    (message,) = mail.outbox
    assert message.to == ["vault@example.com"] and "Audit log head: position 2" in message.subject
    kept = Head.parse(message.body.splitlines()[0])
    assert kept == current_head() and f"--head {kept}" in message.body
    assert verify_audit_log([kept]).is_intact
    with without_triggers() as cursor:
        cursor.execute("DELETE FROM accounts_auditentry WHERE object_id = '2'")
        cursor.execute("DELETE FROM accounts_auditseal WHERE position = 2")
    assert not verify_audit_log([kept]).is_intact


def test_a_head_is_sent_once_a_day_also_when_nothing_has_changed() -> None:
    subscribe()
    assert send_audit_head() is not None
    assert send_audit_head() is None
    Notice.objects.update(created_at=timezone.now() - INTERVAL - dt.timedelta(seconds=1))
    assert send_audit_head() is not None


def test_webhooks_get_heads_only_if_they_subscribe(settings: Any, admin: Any) -> None:
    settings.NOTIFY_ALLOW_PRIVATE = settings.NOTIFY_ALLOW_HTTP = True
    add = settings_actions.add_webhook
    hook, _ = add(admin, name="log", url="http://127.0.0.1:9/", alerts=False, health=False, audit_heads=True)
    add(admin, name="chat", url="http://127.0.0.1:9/", alerts=True, health=True)
    send_audit_head()
    assert [row.webhook for row in NoticeDelivery.objects.all()] == [hook]
    assert NoticeDelivery.objects.get().notice.kind == Kind.AUDIT


def test_an_admin_subscribes_on_the_page(admin: Any, client_of: Callable[[Any], Client], settings: Any) -> None:
    settings.NOTIFY_ALLOW_PRIVATE = settings.NOTIFY_ALLOW_HTTP = True
    client = client_of(admin)
    values = {"roles": ["owner"], "addresses": "", "interval_minutes": "60", "audit_heads": "on"}
    assert client.post("/notifications/settings/", values).status_code == 302
    assert MailSettings.objects.get().audit_heads
    assert (AuditEntry.objects.latest("pk").after or {})["audit_heads"] is True
    values = {"name": "log", "url": "http://127.0.0.1:9/", "audit_heads": "on"}
    page = client.post("/notifications/settings/webhooks/", values)
    assert page.status_code == 200 and "Audit log head" in page.text
    assert Webhook.objects.get().subscriptions == ["audit log head"]
