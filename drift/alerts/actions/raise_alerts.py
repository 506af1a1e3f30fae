"""Raise alerts for stored events: in the events' transaction, in fingerprint order.

Each fingerprint's current alert is locked first, so a reviewer's change happens wholly before or wholly after the
batch. Where there is none, or it is closed and its snooze is over, a new alert opens. Two batches that open the same
alert at once meet at the unique index on current alerts, and one of them is retried.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import fields
from typing import Any, Final

import msgspec
from django.utils import timezone
from psycopg import Cursor

from drift.alerts.actions.alert_budgets import spend_budgets
from drift.alerts.actions.open_alerts import NewAlert, open_alerts
from drift.alerts.domain.alert_snapshot import AlertSnapshot, counting_alert
from drift.alerts.domain.enriched_events import BatchSource, EnrichedEvent
from drift.alerts.domain.event_groups import MAX_COUNT, OUTCOMES, EventGroup, groups_by_fingerprint
from drift.alerts.domain.flood_limits import SENSOR, flood_fingerprint
from drift.alerts.models import Alert
from drift.alerts.models.alerts import CONTAINER_FLOOD, SENSOR_FLOOD
from drift.alerts.queries.active_suppressions import ActiveSuppressions

COLUMNS: Final = [field.name for field in fields(AlertSnapshot)]
LOCK_CURRENT: Final = f"""
SELECT fingerprint, {", ".join(COLUMNS)}
FROM alerts_alert WHERE current AND fingerprint = ANY(%s) ORDER BY fingerprint FOR NO KEY UPDATE
"""  # noqa: S608 - made of the constant above
"""In fingerprint order, as triage and end_snoozes lock, so that none of them deadlock. NO KEY: other rows may
be inserted that refer to an alert."""
LOCK_SET_ASIDE: Final = f"""
SELECT fingerprint, {", ".join(COLUMNS)} FROM alerts_alert
WHERE set_aside_at IS NOT NULL AND status IN ('active', 'in_progress') AND sensor_id = %s AND fingerprint = ANY(%s)
ORDER BY fingerprint FOR NO KEY UPDATE
"""  # noqa: S608 - made of the constant above
"""Of a sensor in quarantine: its own open alerts that are set aside. Reviewers' alerts count nothing of it."""
COUNT: Final = f"""
WITH more AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS more (
        alert_id bigint, hour timestamptz, count bigint, blocked bigint, last_seen timestamptz
    )
), bumped AS (
    UPDATE alerts_alertpulse AS pulse
    SET count = least(pulse.count, {MAX_COUNT} - more.count) + more.count,
        blocked = least(pulse.blocked, {MAX_COUNT} - more.blocked) + more.blocked,
        last_seen = greatest(pulse.last_seen, more.last_seen), updated_at = %s
    FROM (
        SELECT alert_id, sum(count)::bigint AS count, sum(blocked)::bigint AS blocked, max(last_seen) AS last_seen
        FROM more GROUP BY alert_id
    ) AS more
    WHERE pulse.alert_id = more.alert_id
)
INSERT INTO alerts_alerthour AS hour (alert_id, hour, count)
SELECT alert_id, hour, count FROM more ORDER BY 1, 2
ON CONFLICT (alert_id, hour) DO UPDATE SET count = least(hour.count, {MAX_COUNT} - excluded.count) + excluded.count
"""  # noqa: S608 - made of the constant above
"""Pulses and histograms in one statement with one parameter: while it runs, other batches wait for these alerts. Sums
stop at MAX_COUNT, and are compared before they are added, because a bigint that overflows is an error."""


MOVE: Final = """
UPDATE alerts_driftevent AS event SET fingerprint = flood.fingerprint
FROM unnest(%s::date[], %s::uuid[], %s::uuid[]) AS flood (day, event_id, fingerprint)
WHERE observed_on = flood.day AND sensor_id = %s AND event.event_id = flood.event_id
"""
"""Gives events the fingerprint of the flood alert that counts them, so that they are its occurrences."""


class HourCount(msgspec.Struct):
    """What one hour of a batch adds to an alert."""

    alert_id: int
    hour: dt.datetime
    count: int
    blocked: int
    last_seen: dt.datetime


def raise_alerts(source: BatchSource, events: list[EnrichedEvent], cursor: Cursor[tuple[Any, ...]]) -> None:
    """Add the events to the counts of their alerts, and open the alerts that do not exist."""
    groups = groups_by_fingerprint(events)
    suppressions = ActiveSuppressions(source, events)
    new, counts = _count(cursor, source, suppressions, groups)
    if new:
        new, floods = _within_budget(cursor, source, new)
        new_floods, more = _count_floods(cursor, source, suppressions, floods)
        new, counts = [*new, *new_floods], [*counts, *more]
    if new:
        open_alerts(source, new, notify=not source.quarantined)
    if counts:
        cursor.execute(COUNT, [msgspec.json.encode(counts).decode(), timezone.now()], prepare=True)


def _count(
    cursor: Cursor[tuple[Any, ...]], source: BatchSource, suppressions: ActiveSuppressions, groups: list[EventGroup]
) -> tuple[list[NewAlert], list[HourCount]]:
    """Lock the groups' current alerts. Return the alerts that have to be opened, and what the current ones count."""
    fingerprints = [group.fingerprint for group in groups]
    if source.quarantined:
        cursor.execute(LOCK_SET_ASIDE, [source.sensor_id, fingerprints])
    else:
        cursor.execute(LOCK_CURRENT, [fingerprints], prepare=True)
    current = {row[0]: AlertSnapshot(*row[1:]) for row in cursor}
    counts: list[HourCount] = []
    new: list[NewAlert] = []
    for group in groups:
        alert = current.get(group.fingerprint)
        for counting, share in _shares(suppressions, alert, group).items():
            if counting is None:
                # What a sensor in quarantine claims must not use a rule's hits.
                suppression = None if source.quarantined else suppressions.match(share)
                new.append(NewAlert(share, alert.id if alert else None, suppression))
            else:
                counts += _hour_counts(counting.id, share)
                _widen(counting, share)
    return new, counts


def _within_budget(
    cursor: Cursor[tuple[Any, ...]], source: BatchSource, new: list[NewAlert]
) -> tuple[list[NewAlert], dict[str, EventGroup]]:
    """Return the new alerts that may open, and the events of the others by whose budget is used up.

    Suppressed alerts spend nothing: they are dismissed as they open, so nobody has to look at them.
    """
    spending = [each for each in new if each.suppression is None]
    spending.sort(key=lambda each: each.group.first_seen)  # the first files get the alerts
    floods: dict[str, EventGroup] = {}
    opening = [each for each in new if each.suppression is not None]
    budgets = spend_budgets(cursor, source, [each.group.first.event.container.id for each in spending])
    for each, budget in zip(spending, budgets, strict=True):
        if budget is None:
            opening.append(each)
        else:
            flood = floods.setdefault(budget, EventGroup(flood_fingerprint(source.sensor_id, budget)))
            flood.events.extend(each.group.events)
    return sorted(opening, key=lambda each: each.group.fingerprint), floods


def _count_floods(
    cursor: Cursor[tuple[Any, ...]],
    source: BatchSource,
    suppressions: ActiveSuppressions,
    floods: dict[str, EventGroup],
) -> tuple[list[NewAlert], list[HourCount]]:
    """Count what exceeds a budget in one alert each; return the alerts to open, and the counts of existing ones."""
    if not floods:
        return [], []
    groups = sorted(floods.values(), key=lambda group: group.fingerprint)
    moved = [
        (each.event.observed_at.date(), each.event.event_id, flood.fingerprint)
        for flood in groups
        for each in flood.events
    ]
    cursor.execute(MOVE, [*map(list, zip(*moved, strict=True)), source.sensor_id])
    new, counts = _count(cursor, source, suppressions, groups)
    sensor_flood = flood_fingerprint(source.sensor_id, SENSOR)
    return [
        each._replace(
            suppression=None, reason=SENSOR_FLOOD if each.group.fingerprint == sensor_flood else CONTAINER_FLOOD
        )
        for each in new
    ], counts


def _shares(
    suppressions: ActiveSuppressions, alert: AlertSnapshot | None, group: EventGroup
) -> dict[AlertSnapshot | None, EventGroup]:
    """Return which of the group's events each alert counts; those under None need a new alert."""
    previous = _previous(alert, group) if alert else None
    shares: dict[AlertSnapshot | None, EventGroup] = {}
    for each in group.events:
        counting = counting_alert(alert, previous, each.event.observed_at)
        candidates = [found for found in (counting, alert) if found]
        counting = next((found for found in candidates if _counts(suppressions, found, each)), None)
        shares.setdefault(counting, EventGroup(group.fingerprint)).events.append(each)
    return shares


def _counts(suppressions: ActiveSuppressions, alert: AlertSnapshot, enriched: EnrichedEvent) -> bool:
    if alert.suppressed_by_id is None:
        return alert.counts(enriched.event.observed_at)
    # Of any time: nobody looks at what a dismissed alert counts, so all of it is what its rule dismisses. While the
    # rule matches, a new alert would only be dismissed again.
    return suppressions.still_matches(alert.suppressed_by_id, enriched)


def _previous(alert: AlertSnapshot, group: EventGroup) -> AlertSnapshot | None:
    """Return the alert before the current one. Read only where an event is older than the current one: rarely."""
    if alert.previous_id is None or group.first_seen >= alert.first_seen:
        return None
    row = Alert.objects.filter(pk=alert.previous_id).values_list(*COLUMNS).first()
    return AlertSnapshot(*row) if row else None


def _widen(alert: AlertSnapshot, group: EventGroup) -> None:
    """Update alerts' rows where late events are earlier or more serious; other alerts stay as they are."""
    changes: dict[str, object] = {}
    if group.first_seen < alert.first_seen:
        changes["first_seen"] = group.first_seen
    if OUTCOMES.index(group.outcome) > OUTCOMES.index(alert.outcome):
        changes["outcome"] = group.outcome
    if changes:
        Alert.objects.filter(pk=alert.id).update(**changes)


def _hour_counts(pk: int, group: EventGroup) -> list[HourCount]:
    """Return the group's counts by hour. Blocked executions, which have no histogram, are all in the first row."""
    last_seen, blocked = group.last_seen, group.blocked
    rows = []
    for hour, count in group.hours.items():
        rows.append(HourCount(pk, hour, count, blocked, last_seen))
        blocked = 0
    return rows
