"""Change who is notified: the mail settings, webhooks, and a user's own preferences."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from cryptography.fernet import InvalidToken
from django.db import transaction

from accounts import audit
from accounts.encryption import secret_keys
from accounts.models import User
from drift.notify.actions.post_webhook import webhook_url
from drift.notify.domain import webhook_secret
from drift.notify.errors import AddressRejected, NameTaken
from drift.notify.models import MailSettings, Preference, Webhook

MAX_WEBHOOKS: Final = 20


@transaction.atomic(durable=True)
def change_mail_settings(actor: User, values: dict[str, Any]) -> MailSettings:
    """Change the recipients of notices for everybody; `values` are columns of MailSettings."""
    row = MailSettings.objects.select_for_update().get()
    before = {name: getattr(row, name) for name in values}
    for name, value in values.items():
        setattr(row, name, value)
    row.save(update_fields=list(values))
    audit.record(actor, "changed", "mail notifications", row.pk, before=before, after=values)
    return row


@transaction.atomic(durable=True)
def add_webhook(
    actor: User, *, name: str, url: str, alerts: bool, health: bool, audit_heads: bool = False
) -> tuple[Webhook, str]:
    """Add a webhook. Returns it and its secret, to be shown once. Raises AddressRejected, NameTaken."""
    masked_url = _masked(webhook_url(url))
    # Serialises additions: of two at once the second is counted, and its name compared, after the first.
    MailSettings.objects.select_for_update().get()
    if Webhook.objects.filter(name=name).exists():
        raise NameTaken("A webhook with this name already exists.")
    if Webhook.objects.count() >= MAX_WEBHOOKS:
        raise AddressRejected(f"At most {MAX_WEBHOOKS} webhooks are allowed.")
    secret = webhook_secret.new_secret()
    sealed = webhook_secret.seal(secret, secret_keys(), webhook_secret.SECRET)
    sealed_url = webhook_secret.seal(url, secret_keys(), webhook_secret.ADDRESS)
    subscribed = {"alerts": alerts, "health": health, "audit_heads": audit_heads}
    row = Webhook.objects.create(name=name, masked_url=masked_url, sealed_url=sealed_url, sealed=sealed, **subscribed)
    # The host alone: every reader sees the audit log, and with chat services the rest of the URL is the password.
    after = {"host": urlsplit(masked_url).hostname, **subscribed}
    audit.record(actor, "added", "webhook", row.pk, name=name, after=after)
    return row, secret


@transaction.atomic
def encrypt_webhooks_again() -> tuple[int, int]:
    """Encrypt every webhook's secret and address under SECRET_KEY; return how many, and how many no key decrypts."""
    rows = list(Webhook.objects.select_for_update().order_by("pk"))
    lost = 0
    for row in rows:
        try:
            row.sealed = webhook_secret.seal_again(bytes(row.sealed), secret_keys(), webhook_secret.SECRET)
            row.sealed_url = webhook_secret.seal_again(bytes(row.sealed_url), secret_keys(), webhook_secret.ADDRESS)
        except InvalidToken:
            lost += 1
        else:
            row.save(update_fields=["sealed", "sealed_url"])
    return len(rows) - lost, lost


def _masked(url: httpx.URL) -> str:
    """Return scheme, host and port; an ellipsis where a path or query follows, any part of which may be a password."""
    origin = f"{url.scheme}://{url.netloc.decode('ascii')}/"
    return origin if url.raw_path == b"/" else f"{origin}…"


@transaction.atomic(durable=True)
def remove_webhook(actor: User, pk: int) -> bool:
    """Remove a webhook and its waiting deliveries. Returns False if there is no such webhook."""
    row = Webhook.objects.select_for_update().filter(pk=pk).first()
    if row is None:
        return False
    audit.record(actor, "removed", "webhook", pk, name=row.name, before={"host": urlsplit(row.masked_url).hostname})
    row.delete()
    return True


@transaction.atomic(durable=True)
def change_preferences(user: User, *, mail_mentions: bool, mail_assignments: bool) -> None:
    """Change a user's own email preferences."""
    values = {"mail_mentions": mail_mentions, "mail_assignments": mail_assignments}
    Preference.objects.update_or_create(user=user, defaults=values)
    audit.record(user, "changed", "own notifications", user.pk, name=user.email, after=values)
