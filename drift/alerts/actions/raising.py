"""Raising alerts for stored events: in the events' transaction, in fingerprint order.

Each fingerprint's current alert is locked first, so what a reviewer decides about it happens wholly
before or wholly after. Where there is none, or it is closed and no longer quiet, one is opened; two
batches that open the same one at once meet at the unique index, and one of them tries again.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from typing import Final

from django.db import connection
from django.utils import timezone

from drift.alerts.actions.groups import OUTCOMES, Group
from drift.alerts.actions.opening import open_alerts
from drift.alerts.models import CLOSED, Alert
from drift.alerts.seen import Seen, Source


def raise_alerts(source: Source, events: list[Seen]) -> None:
    """Count the events to their alerts, opening those that are not there."""
    groups = _by_fingerprint(events)
    current = _lock_current([group.fingerprint for group in groups])
    bumps: dict[int, Group] = {}
    fresh: list[tuple[Group, Alert | None]] = []
    for group in groups:
        alert = current.get(group.fingerprint)
        shares = _share(alert, group)
        for taker, share in shares.items():
            if taker is None:
                fresh.append((share, alert))
            else:
                bumps[taker.pk] = share
                _widen(taker, share)
    _bump(bumps)
    opened = open_alerts(source, fresh) if fresh else {}
    _count_hours({**bumps, **opened})


def _by_fingerprint(events: Iterable[Seen]) -> list[Group]:
    groups: dict[uuid.UUID, Group] = {}
    for seen in events:
        groups.setdefault(seen.fingerprint, Group(seen.fingerprint)).events.append(seen)
    return sorted(groups.values(), key=lambda group: group.fingerprint)


def _lock_current(fingerprints: list[uuid.UUID]) -> dict[uuid.UUID, Alert]:
    """The current alert of each fingerprint that has one, locked until the batch is stored."""
    rows = (
        Alert.objects.select_for_update(of=("self",), no_key=True)
        .select_related("previous")
        .filter(current=True, fingerprint__in=fingerprints)
        .order_by("fingerprint")
    )
    return {alert.fingerprint: alert for alert in rows}


def _share(alert: Alert | None, group: Group) -> dict[Alert | None, Group]:
    """Which events add to which alert's count; those under None need a new alert."""
    shares: dict[Alert | None, Group] = {}
    for seen in group.events:
        taker = _taker(alert, seen.event.observed_at)
        shares.setdefault(taker, Group(group.fingerprint)).events.append(seen)
    return shares


def _taker(alert: Alert | None, observed_at: dt.datetime) -> Alert | None:
    """The current alert or the one before it: an event that comes late still goes where it would have gone."""
    if alert is None:
        return None
    before = alert.previous
    if before is not None and observed_at < alert.first_seen and takes(before, observed_at):
        return before
    return alert if takes(alert, observed_at) else None


def takes(alert: Alert, observed_at: dt.datetime) -> bool:
    """Whether an event of that time only adds to the alert's count.

    An open alert takes all. A closed one takes what happened before it was closed (a sensor was
    away), and a dismissed one what happens in its quiet period.
    """
    if alert.status not in CLOSED or alert.closed_at is None:
        return True
    if observed_at <= alert.closed_at:
        return True
    if alert.quiet_until is None:
        return alert.until_spread
    return observed_at < alert.quiet_until


def _widen(alert: Alert, group: Group) -> None:
    """Late events may be earlier, or worse, than what the alert shows: rarely, so only then its row changes."""
    changes: dict[str, object] = {}
    if group.first_seen < alert.first_seen:
        changes["first_seen"] = group.first_seen
    if OUTCOMES.index(group.outcome) > OUTCOMES.index(alert.outcome):
        changes["outcome"] = group.outcome
    if changes:
        Alert.objects.filter(pk=alert.pk).update(**changes)


BUMP: Final = """
UPDATE alerts_alertpulse AS pulse
SET count = pulse.count + more.count, blocked = pulse.blocked + more.blocked,
    last_seen = greatest(pulse.last_seen, more.last_seen), updated_at = %s
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[]) AS more (alert_id, count, blocked, last_seen)
WHERE pulse.alert_id = more.alert_id
"""
HOURS: Final = """
INSERT INTO alerts_alerthour AS hour (alert_id, hour, count)
SELECT * FROM unnest(%s::bigint[], %s::timestamptz[], %s::bigint[]) ORDER BY 1, 2
ON CONFLICT (alert_id, hour) DO UPDATE SET count = hour.count + excluded.count
"""


def _bump(bumps: dict[int, Group]) -> None:
    if not bumps:
        return
    groups = bumps.values()
    counts, blocked = [group.count for group in groups], [group.blocked for group in groups]
    last_seen = [group.last_seen for group in groups]
    with connection.cursor() as cursor:
        cursor.execute(BUMP, [timezone.now(), list(bumps), counts, blocked, last_seen])


def _count_hours(counted: dict[int, Group]) -> None:
    rows = [(pk, hour, count) for pk, group in counted.items() for hour, count in group.hours.items()]
    with connection.cursor() as cursor:
        cursor.execute(HOURS, [list(column) for column in zip(*rows, strict=True)])
