"""Give alerts their priorities: as they open, and again when what is known of their files changes.

Whoever changes what is known adds rows to AlertScoring, which waits for nobody; a task scores those alerts within ten
seconds. New alerts are queued too, since two that open at once do not see each other.
"""

from __future__ import annotations

import datetime as dt
import json
import time
import uuid
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final

import msgspec
from django.db import connection, transaction

from drift.alerts.actions.route_alerts import route_alerts
from drift.alerts.domain.content_signals import content_signals, list_signals, severity_signals
from drift.alerts.domain.exec_signals import exec_signals
from drift.alerts.domain.habits import habit, habit_signals, lineage, lineage_signals, lineage_words
from drift.alerts.domain.priority_signals import Signal, signal
from drift.alerts.domain.scored_signals import ScoredSignals
from drift.alerts.models import Alert
from drift.alerts.models.alerts import FLOODS
from drift.alerts.queries.content_facts import ContentKnowledge, PlacedContent, content_knowledge
from drift.alerts.queries.habit_facts import KnownHabits, PlacedHabit, known_habits
from sensor import wire

BATCH: Final = 500
SECONDS: Final = 6.0
"""How long a run may go on; the next one continues."""
MAX_QUEUED: Final = 2_000
"""Alerts of one content that are scored again when something is learnt of it: the newest."""
TAKE: Final = """
DELETE FROM alerts_alertscoring WHERE id IN (
    SELECT id FROM alerts_alertscoring ORDER BY id FOR UPDATE SKIP LOCKED LIMIT %s
) RETURNING alert_id
"""
CERTAINLY_MANY: Final = 60
"""Sightings of a content, or days of a way, after which one more changes no priority."""
LINEAGE_IS_KNOWN: Final = 12
"""Days of a lineage after which one more is told to no open alert: what is rare has one or two workloads."""
QUEUE: Final = """
INSERT INTO alerts_alertscoring (alert_id, created_at)
SELECT alert.id, now() FROM ({contents}) AS content (sha256)
CROSS JOIN LATERAL (
    SELECT alert.id FROM alerts_binary AS file JOIN alerts_alert AS alert ON alert.binary_id = file.id
    WHERE file.sha256 = content.sha256 AND alert.status IN ('active', 'in_progress')
    ORDER BY alert.id DESC LIMIT {limit}
) AS alert
"""
GIVEN: Final = "SELECT unnest(%s::text[])"
QUEUE_SPREAD: Final = QUEUE.format(
    contents=f"""
    SELECT DISTINCT sha256 FROM alerts_binary AS file
    WHERE id IN (SELECT binary_id FROM stored WHERE is_new) AND sha256 <> '' AND (
        SELECT count(*) FROM (
            SELECT FROM alerts_binary AS same JOIN alerts_sighting AS sighting ON sighting.binary_id = same.id
            WHERE same.sha256 = file.sha256 LIMIT {CERTAINLY_MANY - 1}
        ) AS seen
    ) < {CERTAINLY_MANY - 1}
""",  # noqa: S608 - made of constants
    limit=MAX_QUEUED,
)
"""Part of a statement that stores sightings as `stored`: queues the open alerts whose content has just appeared in
another workload. The statement sees the sightings before it: one less than there are then."""
STORE: Final = """
UPDATE alerts_alert AS alert
SET priority = scored.priority, scoped_priority = scored.scoped_priority, signals = scored.signals,
    habit = scored.habit, lineage = scored.lineage
FROM jsonb_to_recordset(%s::jsonb)
    AS scored (id bigint, priority smallint, scoped_priority smallint, signals jsonb, habit uuid, lineage uuid)
WHERE alert.id = scored.id
"""
LEARN: Final = """
INSERT INTO alerts_habitday (habit, scope, day, cluster_id, namespace)
SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::date[], %s::bigint[], %s::text[])
ON CONFLICT DO NOTHING RETURNING habit
"""
QUEUE_WAYS: Final = """
INSERT INTO alerts_alertscoring (alert_id, created_at)
SELECT alert.id, now() FROM ({ways}) AS way (way)
CROSS JOIN LATERAL (
    SELECT id FROM alerts_alert WHERE {column} = way.way AND status IN ('active', 'in_progress')
    ORDER BY id DESC LIMIT %s
) AS alert
WHERE alert.id <> ALL(%s)
"""
GIVEN_WAYS: Final = "SELECT unnest(%s::uuid[])"
SPREADING_WAYS: Final = """
SELECT way FROM unnest(%s::uuid[]) AS way WHERE (
    SELECT count(*) FROM (SELECT FROM alerts_habitday AS day WHERE day.habit = way LIMIT %s) AS days
) < %s
"""


def score_new(alerts: Sequence[Alert], events: Sequence[wire.Event], scopes: Sequence[uuid.UUID]) -> None:
    """Give alerts that are about to be stored their priorities, from their first events and workloads' scopes."""
    contents = [
        PlacedContent(event.process.sha256 or "", alert.cluster_id, alert.namespace, scope)
        for alert, event, scope in zip(alerts, events, scopes, strict=True)
    ]
    known = content_knowledge(contents)
    for alert, event in zip(alerts, events, strict=True):
        alert.habit, alert.lineage = habit(event), lineage(event)
    ways = [_ways(alert, scope) for alert, scope in zip(alerts, scopes, strict=True)]
    habits = known_habits(chain.from_iterable(ways))
    for alert, event, content, placed in zip(alerts, events, contents, ways, strict=True):
        scored = _signals(alert, event, content, known, [habits[way] for way in placed])
        alert.priority, alert.scoped_priority = scored.priority, scored.scoped_priority
        alert.signals = scored.as_json()


def queue_contents(hashes: Iterable[str]) -> None:
    """Queue the open alerts of these contents to be scored again: of each the newest MAX_QUEUED."""
    with connection.cursor() as cursor:
        cursor.execute(QUEUE.format(contents=GIVEN, limit=MAX_QUEUED), [sorted(set(hashes) - {""})])


def queue_ways(ways: Iterable[uuid.UUID | None]) -> None:
    """Queue the open alerts that came about in these ways: of each the newest MAX_QUEUED."""
    with connection.cursor() as cursor:
        cursor.execute(
            QUEUE_WAYS.format(ways=GIVEN_WAYS, column="habit"), [list({way for way in ways if way}), MAX_QUEUED, []]
        )


def score_queued(seconds: float = SECONDS) -> int:
    """Score the queued alerts, then those that have no priority yet, for some seconds; return how many."""
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        scored = _score_batch()
        count += scored
        if scored == 0:
            break
    return count


@transaction.atomic(durable=True)
def _score_batch() -> int:
    with connection.cursor() as cursor:
        cursor.execute(TAKE, [BATCH])
        ids = {pk for (pk,) in cursor.fetchall()}
    if not ids:
        # Opened before there were priorities, or by a portal of the version before.
        ids = set(Alert.objects.filter(signals__isnull=True).order_by("-pk").values_list("pk", flat=True)[:BATCH])
    if ids:
        _score(ids)
        route_alerts(ids)
    return len(ids)


def _score(ids: set[int]) -> None:
    # In fingerprint order, as ingest and triage lock alerts, so that none of them deadlock.
    rows = Alert.objects.filter(pk__in=ids).select_for_update(of=("self",), no_key=True).order_by("fingerprint", "pk")
    alerts = list(rows.select_related("binary", "workload", "detail"))
    contents = [
        PlacedContent(each.binary.sha256, each.cluster_id, each.namespace, each.workload.scope) for each in alerts
    ]
    known = content_knowledge(contents)
    events = [_stored_event(alert) for alert in alerts]
    stored = [(alert.habit, alert.lineage) for alert in alerts]
    for alert, event in zip(alerts, events, strict=True):
        alert.habit, alert.lineage = (habit(event), lineage(event)) if event else (None, None)
    ways = [_ways(alert, alert.workload.scope) for alert in alerts]
    _learn(alerts, ways)
    habits = known_habits(chain.from_iterable(ways))
    changed = []
    for alert, event, content, placed, before in zip(alerts, events, contents, ways, stored, strict=True):
        if alert.signals is not None and not alert.is_open:
            continue  # closed alerts keep their priority: what they teach counts
        scored = _signals(alert, event, content, known, [habits[way] for way in placed])
        if scored.as_json() != alert.signals or (alert.habit, alert.lineage) != before:
            priorities = {"priority": scored.priority, "scoped_priority": scored.scoped_priority}
            same = {"habit": _text(alert.habit), "lineage": _text(alert.lineage)}
            changed.append({"id": alert.pk, **priorities, **same, "signals": scored.as_json()})
    if changed:
        with connection.cursor() as cursor:
            cursor.execute(STORE, [json.dumps(changed)])


def _text(way: uuid.UUID | None) -> str | None:
    return str(way) if way else None


def _ways(alert: Alert, scope: uuid.UUID) -> list[PlacedHabit]:
    """Return the way in which an alert came about, and its lineage; none of a flood or an unknown event."""
    if alert.habit is None or alert.lineage is None or alert.reason in FLOODS:
        return []
    # By the portal's clock: a sensor that dates its events back teaches no habit of earlier days.
    day = alert.created_at.astimezone(dt.UTC).date()
    return [PlacedHabit(way, scope, day, alert.cluster_id, alert.namespace) for way in (alert.habit, alert.lineage)]


def _learn(alerts: Sequence[Alert], ways: Sequence[Sequence[PlacedHabit]]) -> None:
    """Add the days of these alerts' ways, and queue the open alerts to which a new day means something.

    Samples and what a sensor in quarantine claims teach nothing.
    """
    taught = {
        way
        for alert, placed in zip(alerts, ways, strict=True)
        if not alert.sample and not alert.set_aside_at
        for way in placed
    }
    if not taught:
        return
    with connection.cursor() as cursor:
        cursor.execute(LEARN, list(map(list, zip(*sorted(taught), strict=True))))
        new = list({way for (way,) in cursor.fetchall()})
        batch = [alert.pk for alert in alerts]
        for column, most in (("habit", CERTAINLY_MANY), ("lineage", LINEAGE_IS_KNOWN)):
            statement = QUEUE_WAYS.format(ways=SPREADING_WAYS, column=column)
            cursor.execute(statement, [new, most, most, MAX_QUEUED, batch])


def _stored_event(alert: Alert) -> wire.Event | None:
    try:
        return msgspec.convert(alert.detail.event, wire.Event)
    except msgspec.ValidationError:
        return None  # of a version whose events had other bounds


def _signals(
    alert: Alert,
    event: wire.Event | None,
    content: PlacedContent,
    known: ContentKnowledge,
    habits: Sequence[KnownHabits],
) -> ScoredSignals:
    opened_on = alert.first_seen.astimezone(dt.UTC).date()
    own: list[Signal] = [] if event is None else exec_signals(event, alert.outcome)
    if alert.reason in FLOODS:
        own.append(signal("flood"))
    own += list_signals(known.good.get(content.sha256, ""), known.bad.get(content.sha256, ""))
    own += severity_signals(alert.severity)
    estate = content_signals(known.of_estate(content), opened_on, "in this estate")
    place = content_signals(known.of_place(content), opened_on, "in this namespace")
    if habits and event:
        of_way, of_lineage = habits
        what = lineage_words(event)
        estate += habit_signals(of_way.estate, "in this estate")
        estate += lineage_signals(of_lineage.estate, what, "in this estate")
        place += habit_signals(of_way.place, "in this workload")
        place += lineage_signals(of_lineage.place, what, "in this workload")
    return ScoredSignals(own, estate, place)
