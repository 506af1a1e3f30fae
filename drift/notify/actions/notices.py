"""Queue notices: written in the caller's transaction, sent by a worker after it commits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final

from django.conf import settings
from django.utils import timezone

from accounts.models import User
from accounts.prepared_rows import prepared_rows
from accounts.roles import Role
from drift import queue
from drift.notify.models import (
    Kind,
    MailSettings,
    Notice,
    NoticeDelivery,
    NoticeHold,
    NoticePlace,
    PendingNotice,
    Preference,
    Webhook,
)

AUDIT_PATH: Final = "/audit/"
SESSIONS_PATH: Final = "/sessions/"
ADD_PENDING: Final = """
INSERT INTO notify_pending (kind, created_at, key, title, count, path)
SELECT %s, %s::timestamptz, * FROM unnest(%s::text[], %s::text[], %s::integer[], %s::text[])
"""
"""Past the ORM, which takes longer than PostgreSQL: every batch that opens an alert has it."""
Place = tuple[int, str]
"""A cluster's id and a namespace."""


def notify_user(user: User, kind: Kind, title: str, text: str, path: str, *, places: Iterable[Place] = ()) -> Notice:
    """Notify one user of what concerns them (MENTION, ASSIGNED): on their page, and by email if they chose it.

    `places` are those of the alerts that it is about: a user with a scope sees it while all of them are in it.
    """
    notice = Notice.objects.create(kind=kind, user=user, title=title[:256], text=text, path=path)
    NoticePlace.objects.bulk_create(
        NoticePlace(notice=notice, cluster_id=cluster, namespace=namespace)
        for cluster, namespace in sorted(set(places))
    )
    preference = {Kind.MENTION: "mail_mentions", Kind.ASSIGNED: "mail_assignments"}[kind]
    if settings.EMAIL_HOST and Preference.objects.filter(user=user, **{preference: True}).exists():
        NoticeDelivery.objects.create(notice=notice, address=user.email)
        queue.enqueue("notify.send")
    return notice


def notify_subscribers(kind: Kind, pending: Iterable[PendingNotice]) -> None:
    """Notify those who subscribe to `kind` (ALERTS, HEALTH, HALTED) of each of `pending`, within ten seconds.

    Rows with the same key are notified at most once per interval; what arrives before it ends is counted and sent then.
    """
    # A file name may contain line breaks: in a message they would pass for lines of ours.
    rows = [(row.key, " ".join(row.title.split())[:256], row.count, row.path) for row in pending]
    if rows:
        prepared_rows(ADD_PENDING, [kind, timezone.now(), *map(list, zip(*rows, strict=True))])


def notify_conditions(kind: Kind, active: Iterable[PendingNotice]) -> None:
    """Notify subscribers of conditions that have begun; `active` are all that hold now. Call it every minute or so.

    A condition is notified again only if it returns after it was over for a whole interval.
    """
    rows = {row.key: row for row in active}
    holds = NoticeHold.objects.filter(kind=kind, key__in=rows)
    pending = PendingNotice.objects.filter(kind=kind)
    known = {*holds.values_list("key", flat=True), *pending.values_list("key", flat=True)}
    minutes = MailSettings.objects.values_list("interval_minutes", flat=True).get()
    # The interval runs from the end of a condition: while it lasts, its hold is extended.
    holds.update(until=timezone.now() + dt.timedelta(minutes=minutes))
    notify_subscribers(kind, [row for key, row in rows.items() if key not in known])


def mark_read(user: User) -> None:
    """Mark all of a user's notices as read."""
    Notice.objects.filter(user=user, read_at=None).update(read_at=timezone.now())


def notify_of_break_glass(sender: object, user: User, **kwargs: object) -> None:
    """Notify every Owner, and the webhooks that report the fleet's health, that the break-glass account was used."""
    title, text = f"{user.email} used the break-glass account", "Local sign-in is off for everybody else."
    for owner in User.objects.filter(role=Role.OWNER, is_active=True):
        notice = Notice.objects.create(kind=Kind.ACCOUNT, user=owner, title=title[:256], text=text, path=AUDIT_PATH)
        if settings.EMAIL_HOST:
            NoticeDelivery.objects.create(notice=notice, address=owner.email)
    if webhooks := list(Webhook.objects.filter(health=True)):
        notice = Notice.objects.create(kind=Kind.HEALTH, title=title[:256], text=text, path=AUDIT_PATH)
        NoticeDelivery.objects.bulk_create([NoticeDelivery(notice=notice, webhook=webhook) for webhook in webhooks])
    queue.enqueue("notify.send")


def notify_of_account_change(sender: object, user: User, change: str, address: str = "", **kwargs: object) -> None:
    """Notify a user of a change to what they sign in with: on their page, and by mail whatever they chose.

    `address` is mailed too: after a change of the address, the old one.
    """
    text = "If this was not you, end your sessions, change your password, and tell an Owner."
    notice = Notice.objects.create(kind=Kind.ACCOUNT, user=user, title=change[:256], text=text, path=SESSIONS_PATH)
    if settings.EMAIL_HOST:
        addresses = dict.fromkeys(each for each in (address, user.email) if each)
        NoticeDelivery.objects.bulk_create([NoticeDelivery(notice=notice, address=each) for each in addresses])
        queue.enqueue("notify.send")
