"""Webhooks: a signed POST of JSON (docs/notifications.md#webhooks)."""

from __future__ import annotations

import json
import time
from typing import Final, cast

import httpx
from cryptography.fernet import InvalidToken
from django.conf import settings

from accounts.encryption import secret_keys
from drift.notify.actions import post_webhook
from drift.notify.domain.webhook_secret import ADDRESS, SECRET, unseal
from drift.notify.domain.webhook_signature import signature_header
from drift.notify.models import AlertRoute, Kind, MailSettings, Notice, NoticeDelivery, Webhook
from drift.notify.queries.recipients import subscribed_webhooks
from sensor.names.visible_text import visible_text

RETRIED: Final = (InvalidToken, httpx.HTTPError)


def new_deliveries(notice: Notice, _: MailSettings) -> list[NoticeDelivery]:
    """Return a delivery per subscribed webhook."""
    return [NoticeDelivery(notice=notice, webhook=webhook) for webhook in subscribed_webhooks(Kind(notice.kind))]


def route_deliveries(notice: Notice, route: AlertRoute) -> list[NoticeDelivery]:
    """Return a delivery per webhook of the route."""
    return [NoticeDelivery(notice=notice, webhook=webhook) for webhook in route.webhooks.order_by("pk")]


def delivers(delivery: NoticeDelivery) -> bool:
    """Return whether it goes to a webhook."""
    return delivery.webhook is not None


def send(delivery: NoticeDelivery) -> None:
    """POST one notice, signed with the webhook's secret."""
    notice, webhook = delivery.notice, cast("Webhook", delivery.webhook)
    url = f"{settings.PUBLIC_URL}{notice.path}" if notice.path else ""
    title, text = visible_text(notice.title), visible_text(notice.text, several_lines=True)
    message = {"id": notice.pk, "kind": notice.kind, "title": title, "text": text, "url": url}
    body = json.dumps({**message, "created_at": notice.created_at.isoformat()}).encode()
    secret = unseal(bytes(webhook.sealed), secret_keys(), SECRET)
    address = unseal(bytes(webhook.sealed_url), secret_keys(), ADDRESS)
    signature = signature_header(secret, int(time.time()), body)
    headers = {"Driftwatch-Signature": signature, "Driftwatch-Delivery": str(delivery.pk)}
    post_webhook.post(address, body, headers)
