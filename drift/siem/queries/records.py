"""What a destination gets next: the changes of alerts behind its cursor, in the order of their ids.

AlertActivity has a row for each new alert and for each change of its state, so forwarding costs ingest nothing: it
reads that table by its primary key. Ids are given out before their transactions commit, so a smaller id may become
visible after a greater one. `settled_id` returns how far that can no longer happen.
"""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from django.db.models import Max
from django.urls import reverse

from accounts.models.scopes import scope_of_group
from accounts.scope import WHOLE_ESTATE, EstateScope, Part
from drift.alerts.domain.pod_entries import EntryMatch
from drift.alerts.models import ActivityKind, AlertActivity, PodEntry
from drift.alerts.queries.alert_json import RELATED, alert_json
from drift.alerts.queries.pod_entries import matches_among
from drift.siem.domain.sample_record import sample_record
from drift.siem.models import SiemDestination

BATCH: Final = 500
FORWARDED: Final = (
    ActivityKind.OPENED,
    ActivityKind.STATUS,
    ActivityKind.ASSIGNED,
    ActivityKind.SPREAD,
    ActivityKind.SET_ASIDE,
    ActivityKind.RESTORED,
    ActivityKind.SUPPRESSED,
)
"""Comments are not forwarded: they change no state, and are written for colleagues."""
STEP: Final = 0.05
WRITERS: Final = """
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'alerts_alertactivity'::regclass AND mode = 'RowExclusiveLock'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()
"""
"""The transactions that write the table. Each takes this lock before it is given an id, and holds it to its end."""
RECORDS: Final = uuid.UUID("9f1c2a52-4f0e-5d57-8f5e-6a3a3b0d7f10")
"""The namespace of records' ids."""


@dataclass
class Recipient:
    """Whoever reads at a destination, as a viewer of the estate."""

    scope: EstateScope
    pk: None = None


@dataclass(frozen=True)
class Batch:
    """Records in order, and the cursor once they have arrived."""

    records: list[dict[str, Any]]
    cursor: int


def settled_id(patience: float) -> int | None:
    """Return the greatest id below which no row can appear any more; None where a writer takes longer than `patience`.

    Writers are waited for, not held up: those that begin later get greater ids.
    """
    newest = AlertActivity.objects.aggregate(newest=Max("pk"))["newest"] or 0
    waiting = _writers()
    deadline = time.monotonic() + patience
    while waiting:
        if time.monotonic() > deadline:
            return None
        time.sleep(STEP)
        waiting &= _writers()
    return newest


def next_batch(destination: SiemDestination, settled: int) -> Batch | None:
    """Return the destination's next records up to the id `settled`; None where there is nothing behind its cursor.

    A batch may hold no record, and its cursor is further all the same: what it passes is out of scope, or a comment.
    """
    rows = AlertActivity.objects.filter(pk__gt=destination.cursor, pk__lte=settled).order_by("pk")
    # Halved with each failure: what a slow line cannot take within a batch's time, it takes in smaller ones.
    ids = list(rows.values_list("pk", flat=True)[: max(1, BATCH >> destination.failures)])
    if not ids:
        return None
    recipient = Recipient(destination_scope(destination))
    chosen = AlertActivity.objects.filter(pk__in=ids, kind__in=FORWARDED).order_by("pk")
    if not recipient.scope.is_whole_estate:
        condition = AlertActivity.visibility.condition(AlertActivity, recipient)
        chosen = chosen.none() if condition is None else chosen.filter(condition)
    found = list(chosen.select_related("actor", "alert", *(f"alert__{name}" for name in RELATED)))
    people = people_who_entered(found, recipient)
    return Batch([record(activity, recipient, people.get(activity.alert_id)) for activity in found], ids[-1])


def people_who_entered(activities: Iterable[AlertActivity], recipient: Recipient) -> dict[int, EntryMatch]:
    """Return who entered the containers of the changes' alerts, by alert; of requests in the recipient's scope."""
    pod_entries = PodEntry.objects.all()
    if not recipient.scope.is_whole_estate:
        condition = PodEntry.visibility.condition(PodEntry, recipient)
        pod_entries = pod_entries.none() if condition is None else pod_entries.filter(condition)
    alerts = {each.alert_id: each.alert for each in activities}
    return matches_among(pod_entries, alerts.values())


def destination_scope(destination: SiemDestination) -> EstateScope:
    """Return which part of the estate it gets alerts of: nothing where its group is gone."""
    if not destination.is_scoped:
        return WHOLE_ESTATE
    if destination.scope_group is None:
        return EstateScope((Part(),))
    return scope_of_group(destination.scope_group)


def record(activity: AlertActivity, recipient: Recipient, entry: EntryMatch | None = None) -> dict[str, Any]:
    """Return one change with its alert as it is now, and who entered its container.

    The same change has the same `id` however often it is sent.
    """
    alert = {**alert_json(recipient, activity.alert), "entered_by": entry.as_json() if entry else None}
    url = f"{settings.PUBLIC_URL}{reverse('alerts:detail', args=[activity.alert_id])}"
    # A portal that was restored from a backup gives ids out again, but not at the same microsecond.
    name = f"{settings.PUBLIC_URL} {activity.pk} {activity.at.isoformat()}"
    # Where a snooze ended: the workload may be one that the recipient does not see.
    is_told = activity.kind != ActivityKind.SPREAD
    if activity.kind == ActivityKind.OPENED:
        alert |= {"status": "active", "verdict": None, "closed_at": None, "assignee": None}
    elif activity.kind == ActivityKind.STATUS and activity.after:
        # As this change left it, not as a later one did.
        alert |= {"status": activity.after["status"], "verdict": activity.after["verdict"] or None}
    return {
        "id": str(uuid.uuid5(RECORDS, name)),
        "kind": activity.kind,
        "at": activity.at.isoformat(),
        "actor": activity.actor.email if activity.actor else None,
        "before": activity.before if is_told else None,
        "after": activity.after if is_told else None,
        "comment": activity.text or None,
        "portal": settings.PUBLIC_URL,
        "alert": {"uid": str(uuid.uuid5(RECORDS, f"{settings.PUBLIC_URL} alert {alert['id']}")), "url": url, **alert},
    }


def record_of_test(pk: int, requested_at: dt.datetime) -> dict[str, Any]:
    """Return the record of a test of this destination."""
    at = requested_at.isoformat()
    uid = str(uuid.uuid5(RECORDS, f"{settings.PUBLIC_URL} test {pk} {at}"))
    return sample_record(uid, at, settings.PUBLIC_URL)


def portal_host() -> str:
    """Return the host by which receivers know this portal."""
    return urlsplit(settings.PUBLIC_URL).hostname or "-"


def _writers() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(WRITERS)
        return {transaction for (transaction,) in cursor.fetchall()}
