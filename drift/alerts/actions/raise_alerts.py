"""Raising alerts for stored events: in the events' transaction, in fingerprint order.

Each fingerprint's current alert is locked first, so what a reviewer decides about it happens wholly
before or wholly after. Where there is none, or it is closed and no longer quiet, one is opened; two
batches that open the same one at once meet at the unique index, and one of them tries again.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from django.utils import timezone
from psycopg import Cursor

from drift.alerts.actions.open_alerts import open_alerts
from drift.alerts.domain.enriched_events import BatchSource, EnrichedEvent
from drift.alerts.domain.event_groups import MAX_COUNT, OUTCOMES, EventGroup
from drift.alerts.models import CLOSED, Alert
from drift.alerts.queries.active_suppressions import ActiveSuppressions

LOCK: Final = """
SELECT fingerprint, id, status, first_seen, outcome, closed_at, quiet_until, until_spread, previous_id,
       suppressed_by_id
FROM alerts_alert WHERE current AND fingerprint = ANY(%s) ORDER BY fingerprint FOR NO KEY UPDATE
"""
COUNT: Final = f"""
WITH more AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS more (
        alert_id bigint, hour timestamptz, count bigint, blocked bigint, last_seen timestamptz, is_new boolean
    )
), bumped AS (
    UPDATE alerts_alertpulse AS pulse
    SET count = least(pulse.count, {MAX_COUNT} - more.count) + more.count,
        blocked = least(pulse.blocked, {MAX_COUNT} - more.blocked) + more.blocked,
        last_seen = greatest(pulse.last_seen, more.last_seen), updated_at = %s
    FROM (
        SELECT alert_id, sum(count)::bigint AS count, sum(blocked)::bigint AS blocked, max(last_seen) AS last_seen
        FROM more WHERE NOT is_new GROUP BY alert_id
    ) AS more
    WHERE pulse.alert_id = more.alert_id
)
INSERT INTO alerts_alerthour AS hour (alert_id, hour, count)
SELECT alert_id, hour, count FROM more ORDER BY 1, 2
ON CONFLICT (alert_id, hour) DO UPDATE SET count = least(hour.count, {MAX_COUNT} - excluded.count) + excluded.count
"""  # noqa: S608 - made of the constant above
"""Pulses and histograms in one statement, and one value: while it runs, its alerts are locked for the other batches."""


class More(msgspec.Struct):
    """What an hour of a batch adds to an alert; `is_new`: its pulse was just made, and has it."""

    alert_id: int
    hour: dt.datetime
    count: int
    blocked: int
    last_seen: dt.datetime
    is_new: bool


@dataclass(frozen=True)
class Taker:
    """Of an alert, what says which events add to its count."""

    id: int
    status: str
    first_seen: dt.datetime
    outcome: str
    closed_at: dt.datetime | None
    quiet_until: dt.datetime | None
    until_spread: bool
    previous_id: int | None
    suppressed_by_id: int | None

    def takes(self, observed_at: dt.datetime) -> bool:
        """Whether an event of that time only adds to the alert's count.

        An open alert takes all. A closed one takes what happened before it was closed (a sensor was
        away), and a dismissed one what happens in its quiet period.
        """
        if self.status not in CLOSED or self.closed_at is None or observed_at <= self.closed_at:
            return True
        return self.until_spread if self.quiet_until is None else observed_at < self.quiet_until


def raise_alerts(source: BatchSource, events: list[EnrichedEvent], cursor: Cursor[tuple[Any, ...]]) -> None:
    """Count the events to their alerts, opening those that are not there."""
    groups = _by_fingerprint(events)
    rules = ActiveSuppressions(source)
    cursor.execute(LOCK, [[group.fingerprint for group in groups]], prepare=True)
    current = {row[0]: Taker(*row[1:]) for row in cursor}
    bumps: dict[int, EventGroup] = {}
    fresh: list[tuple[EventGroup, int | None]] = []
    for group in groups:
        alert = current.get(group.fingerprint)
        for taker, share in _share(rules, alert, group).items():
            if taker is None:
                fresh.append((share, alert.id if alert else None))
            else:
                bumps[taker.id] = share
                _widen(taker, share)
    opened = open_alerts(source, rules, fresh) if fresh else {}
    _count(cursor, bumps, opened)


def _by_fingerprint(events: Iterable[EnrichedEvent]) -> list[EventGroup]:
    groups: dict[uuid.UUID, EventGroup] = {}
    for seen in events:
        groups.setdefault(seen.fingerprint, EventGroup(seen.fingerprint)).events.append(seen)
    return sorted(groups.values(), key=lambda group: group.fingerprint)


def _share(rules: ActiveSuppressions, alert: Taker | None, group: EventGroup) -> dict[Taker | None, EventGroup]:
    """Which events add to which alert's count; those under None need a new alert."""
    before = _before(alert, group) if alert else None
    shares: dict[Taker | None, EventGroup] = {}
    for seen in group.events:
        taker = _taker(alert, before, seen.event.observed_at)
        if taker is None and alert and alert.suppressed_by_id and rules.still(alert.suppressed_by_id, seen):
            taker = alert
        shares.setdefault(taker, EventGroup(group.fingerprint)).events.append(seen)
    return shares


def _before(alert: Taker, group: EventGroup) -> Taker | None:
    """The alert before the current one, where there is one and some of the events are older than the current one."""
    if alert.previous_id is None or group.first_seen >= alert.first_seen:
        return None
    names = ("id", "status", "first_seen", "outcome", "closed_at", "quiet_until", "until_spread")
    row = Alert.objects.filter(pk=alert.previous_id).values_list(*names, "previous_id", "suppressed_by_id").first()
    return Taker(*row) if row else None


def _taker(alert: Taker | None, before: Taker | None, observed_at: dt.datetime) -> Taker | None:
    """The current alert or the one before it: an event that comes late still goes where it would have gone."""
    if alert is None:
        return None
    if before is not None and observed_at < alert.first_seen and before.takes(observed_at):
        return before
    return alert if alert.takes(observed_at) else None


def _widen(alert: Taker, group: EventGroup) -> None:
    """Late events may be earlier, or worse, than what the alert shows: rarely, so only then its row changes."""
    changes: dict[str, object] = {}
    if group.first_seen < alert.first_seen:
        changes["first_seen"] = group.first_seen
    if OUTCOMES.index(group.outcome) > OUTCOMES.index(alert.outcome):
        changes["outcome"] = group.outcome
    if changes:
        Alert.objects.filter(pk=alert.id).update(**changes)


def _count(cursor: Cursor[tuple[Any, ...]], bumps: dict[int, EventGroup], opened: dict[int, EventGroup]) -> None:
    more = [each for pk, group in bumps.items() for each in _more(pk, group, is_new=False)]
    more += [each for pk, group in opened.items() for each in _more(pk, group, is_new=True)]
    cursor.execute(COUNT, [msgspec.json.encode(more).decode(), timezone.now()], prepare=True)


def _more(pk: int, group: EventGroup, *, is_new: bool) -> list[More]:
    """Hour by hour; what was blocked stands in the first."""
    hours, last_seen = group.hours, group.last_seen
    blocked = [group.blocked, *[0] * (len(hours) - 1)]
    return [
        More(pk, hour, count, stopped, last_seen, is_new)
        for (hour, count), stopped in zip(hours.items(), blocked, strict=True)
    ]
