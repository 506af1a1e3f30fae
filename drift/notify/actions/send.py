"""What the worker does: gathers what everybody is to be told, and sends what waits.

A delivery is claimed by a conditional UPDATE that puts its next attempt off; no lock is held while it is sent.
Who dies in between leaves it to the next attempt, so a message may come twice, never not at all.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import smtplib
import time
from typing import Any, Final, NamedTuple

import httpx
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Q
from django.utils import timezone

from accounts.models import User
from drift import queue
from drift.notify.actions import post_webhook as posting
from drift.notify.domain import sealing
from drift.notify.models import Delivery, Hold, Kind, MailSettings, Notice, State, Webhook

logger = logging.getLogger(__name__)

PAUSES: Final = tuple(dt.timedelta(minutes=n) for n in (1, 5, 30, 120, 360))
"""After each failed attempt; past the last a delivery is given up."""
ROUND: Final = 10
"""Deliveries a task takes: with each at its time limit it ends well within the task's."""
LINES: Final = 10
MOST: Final = 2**31 - 1
"""What the column of counts holds."""
KEPT: Final = dt.timedelta(days=30)
LOCK: Final = "gather notifications"
SUBJECTS: Final = {
    Kind.ALERTS: ("{} new High alert", "{} new High alerts"),
    Kind.HEALTH: ("{} sensor needs a look", "{} sensors need a look"),
    Kind.HALTED: ("{} rollout was halted", "{} rollouts were halted"),
}
TAKE: Final = """
WITH told AS (
    DELETE FROM notify_pending AS pending WHERE kind = %(kind)s AND NOT EXISTS (
        SELECT FROM notify_hold AS hold WHERE hold.kind = pending.kind AND hold.key = pending.key
    ) RETURNING *
), held AS (
    INSERT INTO notify_hold (kind, key, until) SELECT DISTINCT kind, key, %(until)s::timestamptz FROM told
), groups AS (
    SELECT min(id) AS first, (array_agg(title ORDER BY id))[1] AS title, (array_agg(path ORDER BY id))[1] AS path,
           sum(count)::bigint AS count
    FROM told GROUP BY key
)
SELECT title, path, count, count(*) OVER (), (sum(count) OVER ())::bigint FROM groups ORDER BY first LIMIT %(lines)s
"""
"""All that no hold keeps back, however much: only what the message shows leaves the database."""
FOLD: Final = """
WITH gone AS (
    DELETE FROM notify_pending WHERE (kind, key) IN (
        SELECT kind, key FROM notify_pending GROUP BY kind, key HAVING count(*) > 1
    ) RETURNING *
)
INSERT INTO notify_pending (kind, key, title, count, path, created_at)
SELECT kind, key, (array_agg(title ORDER BY id))[1], least(sum(count), %s), (array_agg(path ORDER BY id))[1],
       min(created_at)
FROM gone GROUP BY kind, key
"""
"""What is held back becomes one row a group: a busy incident writes one with each of its batches, for an hour or a
week."""


class Group(NamedTuple):
    """One of the groups that a message shows; of all that it tells of, how many there are and what they count."""

    title: str
    path: str
    counted: int
    groups: int
    total: int


def gather() -> None:
    """Make one notice a kind of all that is pending and whose group was not told of within the interval."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [LOCK])
        if cursor.fetchone() != (True,):
            return
        Hold.objects.filter(until__lte=timezone.now()).delete()
        mail = MailSettings.objects.get()
        for kind in SUBJECTS:
            _gather(cursor, kind, mail)
        cursor.execute(FOLD, [MOST])


def _gather(cursor: CursorWrapper, kind: Kind, mail: MailSettings) -> None:
    until = timezone.now() + dt.timedelta(minutes=mail.interval_minutes)
    cursor.execute(TAKE, {"kind": kind, "until": until, "lines": LINES})
    groups = [Group(*row) for row in cursor.fetchall()]
    if groups:
        _announce(kind, groups, mail)


def _announce(kind: Kind, groups: list[Group], mail: MailSettings) -> None:
    addresses, webhooks = _addresses(kind, mail), _webhooks(kind)
    if not addresses and not webhooks:
        return
    first = groups[0]
    notice = Notice.objects.create(
        kind=kind,
        title=SUBJECTS[kind][first.total != 1].format(f"{first.total:,}"),
        text=_lines(groups),
        path=first.path if first.groups == 1 else {Kind.ALERTS: "/alerts/"}.get(kind, "/"),
    )
    made = [Delivery(notice=notice, address=address) for address in addresses]
    Delivery.objects.bulk_create([*made, *(Delivery(notice=notice, webhook=webhook) for webhook in webhooks)])
    queue.enqueue("notify.send")


def _lines(groups: list[Group]) -> str:
    """The first few groups, each with how many it had, and how many are left out."""
    shown = [f"{group.title} (× {group.counted})" for group in groups]
    left = groups[0].groups - len(groups)
    return "\n".join([*shown, *([f"… and {left:,} more"] if left else [])])


def _addresses(kind: Kind, mail: MailSettings) -> list[str]:
    if not settings.EMAIL_HOST or not (mail.alerts if kind == Kind.ALERTS else mail.health):
        return []
    people = User.objects.filter(is_active=True, role__in=mail.roles).values_list("email", flat=True)
    return sorted({address.lower(): address for address in [*people, *mail.addresses]}.values())


def _webhooks(kind: Kind) -> list[Webhook]:
    return list(Webhook.objects.filter(Q(alerts=True) if kind == Kind.ALERTS else Q(health=True)).order_by("pk"))


def send() -> None:
    """Send what is due, ROUND of them; where more is due, another task takes it."""
    claimed = _claim()
    for delivery in claimed:
        if timezone.now() < delivery.next_at:  # else those before it took so long that another task may have it
            _try(delivery)
    if len(claimed) == ROUND:
        queue.send("notify.send")


def _claim() -> list[Delivery]:
    now = timezone.now()
    with transaction.atomic():
        due = Delivery.objects.select_for_update(skip_locked=True, of=("self",)).select_related("notice", "webhook")
        claimed = list(due.filter(state=State.WAITING, next_at__lte=now).order_by("next_at", "pk")[:ROUND])
        for delivery in claimed:
            delivery.next_at = now + PAUSES[min(delivery.attempts, len(PAUSES) - 1)]
            delivery.attempts += 1
        Delivery.objects.bulk_update(claimed, ["next_at", "attempts"])
    return claimed


def _try(delivery: Delivery) -> None:
    try:
        _post(delivery, delivery.webhook) if delivery.webhook else _mail(delivery)
    except posting.Refused as error:
        _failed(delivery, str(error), final=True)
    except (InvalidToken, httpx.HTTPError, smtplib.SMTPException, OSError) as error:
        _failed(delivery, _reason(error), final=False)
    else:
        _settle(delivery, state=State.SENT, sent_at=timezone.now(), error="")


def _reason(error: Exception) -> str:
    """For the page: what went wrong, without what a stranger's server may have put into it."""
    if isinstance(error, InvalidToken):
        return "The secret was sealed under another SECRET_KEY: remove the webhook and add it again."
    return str(error) if isinstance(error, httpx.HTTPStatusError) else type(error).__name__


def _failed(delivery: Delivery, reason: str, *, final: bool) -> None:
    dead = final or delivery.attempts > len(PAUSES)
    state = State.DEAD if dead else State.WAITING
    _settle(delivery, state=state, error=reason[:256])
    logger.warning("notification %d not delivered (attempt %d): %s", delivery.pk, delivery.attempts, reason)


def _settle(delivery: Delivery, **facts: Any) -> None:
    """Note what became of this attempt; nothing where it took so long that another one was begun meanwhile."""
    Delivery.objects.filter(pk=delivery.pk, state=State.WAITING, attempts=delivery.attempts).update(**facts)


def _mail(delivery: Delivery) -> None:
    notice = delivery.notice
    link = f"\n\n{settings.PUBLIC_URL}{notice.path}" if notice.path else ""
    subject = " ".join(f"[Driftwatch] {notice.title}".split())
    EmailMessage(subject, f"{notice.text}{link}\n", to=[delivery.address]).send()


def _post(delivery: Delivery, webhook: Webhook) -> None:
    notice = delivery.notice
    url = f"{settings.PUBLIC_URL}{notice.path}" if notice.path else ""
    message = {"id": notice.pk, "kind": notice.kind, "title": notice.title, "text": notice.text, "url": url}
    body = json.dumps({**message, "created_at": notice.created_at.isoformat()}).encode()
    signed = sealing.signature(bytes(webhook.sealed), int(time.time()), body)
    posting.post(webhook.url, body, {"Driftwatch-Signature": signed, "Driftwatch-Delivery": str(delivery.pk)})


def tidy() -> None:
    """Notices go once they are KEPT old, their deliveries with them."""
    Notice.objects.filter(created_at__lt=timezone.now() - KEPT).delete()
