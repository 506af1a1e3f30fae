"""Telling: written in the caller's transaction, sent afterwards (`drift.notify.actions.send`)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift import queue
from drift.notify.actions import post_webhook as posting
from drift.notify.domain import sealing
from drift.notify.models import Delivery, Hold, Kind, MailSettings, Notice, Pending, Preference, State, Webhook

SEND: Final = "notify.send"
MOST_WEBHOOKS: Final = 20


def tell(user: User, kind: Kind, title: str, text: str, path: str) -> Notice:
    """Tell one person of what is theirs (MENTION, ASSIGNED): on their page, and by mail where they asked for it."""
    notice = Notice.objects.create(kind=kind, user=user, title=title[:256], text=text, path=path)
    wanted = {Kind.MENTION: "mail_mentions", Kind.ASSIGNED: "mail_assignments"}[kind]
    if settings.EMAIL_HOST and Preference.objects.filter(user=user, **{wanted: True}).exists():
        Delivery.objects.create(notice=notice, address=user.email)
        queue.enqueue(SEND)
    return notice


def tell_everybody(kind: Kind, told: Iterable[Pending]) -> None:
    """Let those who asked know of each of `told` (ALERTS, HEALTH, HALTED): gathered within ten seconds.

    What shares a key is told of at most once in the set interval; what came meanwhile is counted and told then.
    """
    rows = list(told)
    for row in rows:
        # A file's name may have lines of its own: in a message they would pass for ours.
        row.kind, row.title = kind, " ".join(row.title.split())[:256]
    Pending.objects.bulk_create(rows)


def tell_while(kind: Kind, told: Iterable[Pending]) -> None:
    """Let those who asked know of what has begun among `told`, which is all that lasts now; call it every minute or so.

    What was told of is not told of again before it has been over for the set interval.
    """
    rows = {row.key: row for row in told}
    holds = Hold.objects.filter(kind=kind, key__in=rows)
    known = {*holds.values_list("key", flat=True), *Pending.objects.filter(kind=kind).values_list("key", flat=True)}
    minutes = MailSettings.objects.values_list("interval_minutes", flat=True).get()
    holds.update(until=timezone.now() + dt.timedelta(minutes=minutes))
    tell_everybody(kind, [row for key, row in rows.items() if key not in known])


@transaction.atomic(durable=True)
def change_mail(actor: User, values: dict[str, Any]) -> MailSettings:
    """Set who gets mail of what concerns everybody; `values` are the columns of MailSettings."""
    row = MailSettings.objects.select_for_update().get()
    before = {name: getattr(row, name) for name in values}
    for name, value in values.items():
        setattr(row, name, value)
    row.save(update_fields=list(values))
    audit.record(actor, "changed", "mail notifications", row.pk, before=before, after=values)
    return row


class NameTaken(ValueError):
    """There is a webhook of this name."""


@transaction.atomic(durable=True)
def add_webhook(actor: User, *, name: str, url: str, alerts: bool, health: bool) -> tuple[Webhook, str]:
    """Add a webhook. Returns it and its secret, to be shown once. Raises posting.Refused, NameTaken.

    The audit log, which every reader sees, names its host alone: with chat services the rest is the password.
    The settings' row is locked, so of two that are added at once the second is counted and named after the first.
    """
    posting.check(url)
    MailSettings.objects.select_for_update().get()
    if Webhook.objects.filter(name=name).exists():
        raise NameTaken("There is a webhook of this name already.")
    if Webhook.objects.count() >= MOST_WEBHOOKS:
        raise posting.Refused(f"There may be {MOST_WEBHOOKS} webhooks.")
    secret = sealing.new_secret()
    row = Webhook.objects.create(name=name, url=url, sealed=sealing.seal(secret), alerts=alerts, health=health)
    after = {"host": urlsplit(url).hostname, "alerts": alerts, "health": health}
    audit.record(actor, "added", "webhook", row.pk, name=name, after=after)
    return row, secret


@transaction.atomic(durable=True)
def remove_webhook(actor: User, pk: int) -> bool:
    """Remove a webhook and what waits for it. False where there is none such."""
    row = Webhook.objects.select_for_update().filter(pk=pk).first()
    if row is None:
        return False
    audit.record(actor, "removed", "webhook", pk, name=row.name, before={"host": urlsplit(row.url).hostname})
    row.delete()
    return True


@transaction.atomic(durable=True)
def send_test(actor: User, webhook_id: int | None) -> Delivery | None:
    """Send a test: to that webhook, or by mail to whoever asks. None where there is no such webhook."""
    webhook = Webhook.objects.filter(pk=webhook_id).first() if webhook_id is not None else None
    if webhook_id is not None and webhook is None:
        return None
    notice = Notice.objects.create(kind=Kind.TEST, title="This is a test", text=f"{actor.name} asked for it.")
    address = "" if webhook else actor.email
    audit.record(actor, "tested", "notification", notice.pk, name=webhook.name if webhook else address)
    queue.enqueue(SEND)
    return Delivery.objects.create(notice=notice, address=address, webhook=webhook)


@transaction.atomic(durable=True)
def retry(actor: User, pk: int) -> bool:
    """Try a delivery again that was given up. False where it is none such."""
    given_up = Delivery.objects.filter(pk=pk, state=State.DEAD)
    if not given_up.update(state=State.WAITING, attempts=0, next_at=timezone.now(), error=""):
        return False
    audit.record(actor, "retried", "notification", pk)
    queue.enqueue(SEND)
    return True


@transaction.atomic(durable=True)
def prefer(user: User, *, mail_mentions: bool, mail_assignments: bool) -> None:
    """What the user wants by mail of what is theirs."""
    values = {"mail_mentions": mail_mentions, "mail_assignments": mail_assignments}
    Preference.objects.update_or_create(user=user, defaults=values)
    audit.record(user, "changed", "own notifications", user.pk, name=user.email, after=values)


def mark_read(user: User) -> None:
    """All that the user was told of so far is read."""
    Notice.objects.filter(user=user, read_at=None).update(read_at=timezone.now())
