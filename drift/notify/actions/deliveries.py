"""Send due deliveries, retry failed ones, delete old ones.

A delivery is claimed by a conditional UPDATE that postpones its next attempt; no lock is held while it is sent.
A worker that dies in between leaves it to the next attempt: a message may arrive twice, but is never lost.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any, Final

import httpx
from cryptography.fernet import InvalidToken
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift import queue
from drift.notify.actions import channels
from drift.notify.errors import AddressRejected
from drift.notify.models import NO_LONGER_READ, Kind, Notice, NoticeDelivery, NoticeState, Webhook
from drift.notify.queries.inbox import own_notices
from drift.notify.queries.recipients import readers_addresses

logger = logging.getLogger(__name__)

RETRY_DELAYS: Final = tuple(dt.timedelta(minutes=n) for n in (1, 5, 30, 120, 360))
"""After each failed attempt; when the last has failed too, so has the delivery."""
BATCH: Final = 10
"""Deliveries per task: at 10 s each they end well within the task's time limit."""
RETENTION: Final = dt.timedelta(days=30)


def send_due() -> None:
    """Send the deliveries that are due, at most BATCH; another task takes the rest."""
    claimed = _claim()
    for delivery in claimed:
        # Those before it may have taken so long that its claim has expired and another task has it by now.
        if timezone.now() < delivery.next_at:
            _try(delivery)
    if len(claimed) == BATCH:
        queue.send("notify.send")


def _claim() -> list[NoticeDelivery]:
    now = timezone.now()
    with transaction.atomic():
        rows = NoticeDelivery.objects.select_for_update(skip_locked=True, of=("self",))
        due = rows.select_related("notice__user", "webhook").filter(state=NoticeState.WAITING, next_at__lte=now)
        claimed = list(due.order_by("next_at", "pk")[:BATCH])
        for delivery in claimed:
            delivery.next_at = now + RETRY_DELAYS[min(delivery.attempts, len(RETRY_DELAYS) - 1)]
            delivery.attempts += 1
        NoticeDelivery.objects.bulk_update(claimed, ["next_at", "attempts"])
    return claimed


def _try(delivery: NoticeDelivery) -> None:
    if not _may_be_read(delivery):
        _record(delivery, state=NoticeState.DEAD, error=NO_LONGER_READ)
        return
    try:
        channels.send(delivery)
    except AddressRejected as error:
        _record_failure(delivery, str(error), final=True)
    except channels.RETRIED as error:
        _record_failure(delivery, _reason(error), final=False)
    else:
        _record(delivery, state=NoticeState.SENT, sent_at=timezone.now(), error="")


def _may_be_read(delivery: NoticeDelivery) -> bool:
    """Return whether its recipient still sees what it is about: the scope may have shrunk, or the account have ended.

    What happens to an account is always mailed, to an address before a change too.
    """
    notice, user = delivery.notice, delivery.notice.user
    if notice.kind == Kind.ACCOUNT:
        return True
    if user is not None:
        return user.is_active and own_notices(user).filter(pk=notice.pk).exists()
    return not delivery.address or bool(readers_addresses([delivery.address]))


def _reason(error: Exception) -> str:
    """Return the error that the page shows: never a string chosen by the remote server."""
    if isinstance(error, InvalidToken):
        return "Its secrets were encrypted under another SECRET_KEY: remove the webhook and add it again."
    return str(error) if isinstance(error, httpx.HTTPStatusError) else type(error).__name__


def _record_failure(delivery: NoticeDelivery, reason: str, *, final: bool) -> None:
    dead = final or delivery.attempts > len(RETRY_DELAYS)
    _record(delivery, state=NoticeState.DEAD if dead else NoticeState.WAITING, error=reason[:256])
    logger.warning("notification %d not delivered (attempt %d): %s", delivery.pk, delivery.attempts, reason)


def _record(delivery: NoticeDelivery, **facts: Any) -> None:
    """Record the result of this attempt."""
    # `attempts` identifies this attempt: one that outlived its claim must not overwrite the next one's result.
    current = NoticeDelivery.objects.filter(pk=delivery.pk, state=NoticeState.WAITING, attempts=delivery.attempts)
    current.update(**facts)


@transaction.atomic(durable=True)
def send_test(actor: User, webhook_id: int | None) -> NoticeDelivery | None:
    """Send a test to that webhook, or by email to the actor. Returns None if there is no such webhook."""
    webhook = Webhook.objects.filter(pk=webhook_id).first() if webhook_id is not None else None
    if webhook_id is not None and webhook is None:
        return None
    notice = Notice.objects.create(kind=Kind.TEST, title="This is a test", text=f"Requested by {actor.name}.")
    address = "" if webhook else actor.email
    audit.record(actor, "tested", "notification", notice.pk, name=webhook.name if webhook else address)
    queue.enqueue("notify.send")
    return NoticeDelivery.objects.create(notice=notice, address=address, webhook=webhook)


@transaction.atomic(durable=True)
def retry(actor: User, pk: int) -> bool:
    """Retry a delivery that has failed for good. Returns False if it has not."""
    dead = NoticeDelivery.objects.filter(pk=pk, state=NoticeState.DEAD)
    if not dead.update(state=NoticeState.WAITING, attempts=0, next_at=timezone.now(), error=""):
        return False
    audit.record(actor, "retried", "notification", pk)
    queue.enqueue("notify.send")
    return True


def delete_old_notices() -> None:
    """Delete notices older than RETENTION, and their deliveries."""
    Notice.objects.filter(created_at__lt=timezone.now() - RETENTION).delete()
