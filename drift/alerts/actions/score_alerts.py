"""Give alerts their priorities: as they open, and again when what is known of their files changes.

Whoever changes what is known adds rows to AlertScoring, which waits for nobody; a task scores those alerts within ten
seconds. New alerts are queued too, since two that open at once do not see each other.
"""

from __future__ import annotations

import datetime as dt
import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from django.db import connection, transaction

from drift.alerts.actions.route_alerts import route_alerts
from drift.alerts.domain.content_signals import content_signals, list_signals, severity_signals
from drift.alerts.domain.exec_signals import exec_signals, starts_what_it_wrote
from drift.alerts.domain.habits import habit, habit_signals, lineage, lineage_signals, lineage_words
from drift.alerts.domain.priority_signals import Signal, signal
from drift.alerts.domain.scored_signals import ScoredSignals
from drift.alerts.domain.traits import TraitDays, trait_signals, traits
from drift.alerts.models import Alert
from drift.alerts.models.alerts import FLOODS, Resolution
from drift.alerts.queries.content_facts import ContentKnowledge, PlacedContent, content_knowledge
from drift.alerts.queries.habit_facts import KnownHabits, KnownTrait, PlacedHabit, known_habits, known_traits
from sensor import wire

BATCH: Final = 500
SECONDS: Final = 6.0
"""How long a run may go on; the next one continues."""
MAX_QUEUED: Final = 2_000
"""Alerts of one content that are scored again when something is learnt of it: the newest."""
TAKE: Final = """
DELETE FROM alerts_alertscoring WHERE id IN (
    SELECT id FROM alerts_alertscoring ORDER BY alert_id DESC FOR UPDATE SKIP LOCKED LIMIT %(half)s
) OR id IN (
    SELECT id FROM alerts_alertscoring ORDER BY id FOR UPDATE SKIP LOCKED LIMIT %(half)s
) RETURNING alert_id
"""
"""Half of a batch are the newest alerts, half those that wait longest: an upgrade may have queued a hundred thousand,
and what each batch teaches queues many of them again, so that the routes of new ones would wait for minutes; and if
only the newest were taken, a long attack would keep the others waiting for ever."""
CERTAINLY_MANY: Final = 60
"""Sightings of a content, or days of a way, after which one more changes no priority."""
IS_KNOWN: Final = 12
"""Days of a lineage or trait after which one more is told to no open alert: what is rare has one or two."""
WAYS: Final = {
    "habit": CERTAINLY_MANY,
    "lineage": IS_KNOWN,
    "name_trait": IS_KNOWN,
    "command_trait": IS_KNOWN,
    "place_trait": IS_KNOWN,
}
"""An alert's columns of what it may share with others, and the days after which one more changes no priority."""
TRAITS: Final = ("name_trait", "command_trait", "place_trait")
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
    SELECT sha256 FROM (
        SELECT DISTINCT sha256 FROM alerts_binary
        WHERE id IN (SELECT binary_id FROM stored WHERE is_new) AND sha256 <> '' OFFSET 0
    ) AS appeared
    WHERE (
        SELECT count(*) FROM (
            SELECT FROM alerts_binary AS same JOIN alerts_sighting AS sighting ON sighting.binary_id = same.id
            WHERE same.sha256 = appeared.sha256 LIMIT {CERTAINLY_MANY - 1}
        ) AS seen
    ) < {CERTAINLY_MANY - 1}
""",  # noqa: S608 - made of constants
    limit=MAX_QUEUED,
)
"""Part of a statement that stores sightings as `stored`: queues the open alerts whose content has just appeared in
another workload. The statement sees the sightings before it: one less than there are then. They are counted once for a
content, and not for each name that it has: where PostgreSQL takes the tables for empty, each count reads them whole."""
STORE: Final = """
UPDATE alerts_alert AS alert
SET priority = scored.priority, scoped_priority = scored.scoped_priority, signals = scored.signals,
    habit = scored.habit, lineage = scored.lineage, name_trait = scored.name_trait,
    command_trait = scored.command_trait, place_trait = scored.place_trait
FROM jsonb_to_recordset(%s::jsonb) AS scored (
    id bigint, priority smallint, scoped_priority smallint, signals jsonb, habit uuid, lineage uuid,
    name_trait uuid, command_trait uuid, place_trait uuid
)
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


class WayFacts(NamedTuple):
    """What is known of an alert's way, lineage and traits."""

    habit: KnownHabits
    lineage: KnownHabits
    name: KnownTrait
    command: KnownTrait | None
    place: KnownTrait

    @property
    def days_in_estate(self) -> TraitDays:
        """On how many other days the whole estate had alerts with the traits."""
        return TraitDays(self.name.estate, self.command.estate if self.command else None, self.place.estate)

    @property
    def days_in_workload(self) -> TraitDays:
        """On how many other days the workload itself had alerts with the traits."""
        return TraitDays(self.name.workload, self.command.workload if self.command else None, self.place.workload)


def score_new(alerts: Sequence[Alert], events: Sequence[wire.Event], scopes: Sequence[uuid.UUID]) -> None:
    """Give alerts that are about to be stored their priorities, from their first events and workloads' scopes."""
    contents = [
        PlacedContent(event.process.sha256 or "", alert.cluster_id, alert.namespace, scope, event.process.name)
        for alert, event, scope in zip(alerts, events, scopes, strict=True)
    ]
    known = content_knowledge(contents)
    for alert, event in zip(alerts, events, strict=True):
        _set_ways(alert, event)
    ways = [_ways(alert, scope) for alert, scope in zip(alerts, scopes, strict=True)]
    for alert, event, content, facts in zip(alerts, events, contents, _facts(ways), strict=True):
        scored = _signals(alert, event, content, known, facts)
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
        cursor.execute(TAKE, {"half": BATCH // 2})
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
        PlacedContent(each.binary.sha256, each.cluster_id, each.namespace, each.workload.scope, each.binary.name)
        for each in alerts
    ]
    known = content_knowledge(contents)
    events = [_stored_event(alert) for alert in alerts]
    stored = [_stored_ways(alert) for alert in alerts]
    for alert, event in zip(alerts, events, strict=True):
        _set_ways(alert, event)
    ways = [_ways(alert, alert.workload.scope) for alert in alerts]
    _learn(alerts, ways)
    changed, taught = [], []
    for alert, event, content, facts, before in zip(alerts, events, contents, _facts(ways), stored, strict=True):
        if alert.signals is not None and not alert.is_open:
            # Closed alerts keep their priority: what they teach counts, and true positives are found by their way.
            if event and _stored_ways(alert) != before:
                changed.append(_row(alert, alert.priority, alert.scoped_priority, alert.signals))
                taught += [alert.habit] if alert.verdict == Resolution.TRUE_POSITIVE else []
            continue
        scored = _signals(alert, event, content, known, facts)
        if scored.as_json() != alert.signals or _stored_ways(alert) != before:
            changed.append(_row(alert, scored.priority, scored.scoped_priority, scored.as_json()))
    if changed:
        with connection.cursor() as cursor:
            cursor.execute(STORE, [json.dumps(changed)])
    if taught:
        queue_ways(taught)


def _row(alert: Alert, priority: int, scoped_priority: int, signals: object) -> dict[str, object]:
    """Return what STORE writes of an alert."""
    ways = {column: str(way) if way else None for column, way in _stored_ways(alert).items()}
    return {"id": alert.pk, "priority": priority, "scoped_priority": scoped_priority, "signals": signals, **ways}


def _set_ways(alert: Alert, event: wire.Event | None) -> None:
    """Set the alert's columns of WAYS; None of an event that this release cannot read."""
    found = (habit(event), lineage(event), *traits(event)) if event else (None,) * len(WAYS)
    for column, way in zip(WAYS, found, strict=True):
        setattr(alert, column, way)


def _stored_ways(alert: Alert) -> dict[str, uuid.UUID | None]:
    return {column: getattr(alert, column) for column in WAYS}


def _ways(alert: Alert, scope: uuid.UUID) -> dict[str, PlacedHabit]:
    """Return the ways and traits of an alert by their columns; none of a flood or an unknown event."""
    if alert.reason in FLOODS:
        return {}
    # By the portal's clock: a sensor that dates its events back teaches no habit of earlier days.
    day = alert.created_at.astimezone(dt.UTC).date()
    place = (scope, day, alert.cluster_id, alert.namespace)
    return {column: PlacedHabit(way, *place) for column, way in _stored_ways(alert).items() if way}


def _facts(ways: Sequence[Mapping[str, PlacedHabit]]) -> list[WayFacts | None]:
    """Return what is known of each alert's ways and traits, with two queries; None where it has none."""
    habits = known_habits(placed[column] for placed in ways for column in placed if column not in TRAITS)
    found = known_traits(placed[column] for placed in ways for column in placed if column in TRAITS)
    return [
        WayFacts(
            habits[placed["habit"]],
            habits[placed["lineage"]],
            found[placed["name_trait"]],
            found[placed["command_trait"]] if "command_trait" in placed else None,
            found[placed["place_trait"]],
        )
        if placed
        else None
        for placed in ways
    ]


def _learn(alerts: Sequence[Alert], ways: Sequence[Mapping[str, PlacedHabit]]) -> None:
    """Add the days of these alerts' ways and traits, and queue the open alerts to which a new day means something.

    Samples and what a sensor in quarantine claims teach nothing.
    """
    taught = {
        way: column
        for alert, placed in zip(alerts, ways, strict=True)
        if not alert.sample and not alert.set_aside_at
        for column, way in placed.items()
    }
    if not taught:
        return
    columns = {way.habit: column for way, column in taught.items()}
    with connection.cursor() as cursor:
        cursor.execute(LEARN, list(map(list, zip(*sorted(taught), strict=True))))
        new = {way for (way,) in cursor.fetchall()}
        batch = [alert.pk for alert in alerts]
        for column, most in WAYS.items():
            spread = [way for way in new if columns[way] == column]
            if spread:
                statement = QUEUE_WAYS.format(ways=SPREADING_WAYS, column=column)
                cursor.execute(statement, [spread, most, most, MAX_QUEUED, batch])


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
    facts: WayFacts | None,
) -> ScoredSignals:
    opened_on = alert.first_seen.astimezone(dt.UTC).date()
    own: list[Signal] = [] if event is None else exec_signals(event, alert.outcome)
    if alert.reason in FLOODS:
        own.append(signal("flood"))
    own += list_signals(known.good.get(content.sha256, ""), known.bad.get(content.sha256, ""))
    own += severity_signals(alert.severity)
    estate = content_signals(known.of_estate(content), opened_on, "in this estate")
    place = content_signals(known.of_place(content), opened_on, "in this namespace")
    if facts and event:
        what, here = lineage_words(event), "in this workload"
        estate += habit_signals(facts.habit.estate, "in this estate")
        estate += lineage_signals(facts.lineage.estate, what, "in this estate")
        place += habit_signals(facts.habit.place, here)
        place += lineage_signals(facts.lineage.place, what, here)
        # What replaces a file has that file's name and arguments.
        is_replaced = event.kind == "replaced"
        in_estate = is_replaced or facts.habit.estate.attack > 0
        in_workload = is_replaced or facts.habit.place.attack > 0
        written = {"is_written": event.process.written_by is not None, "is_payload": starts_what_it_wrote(event)}
        in_all = {name for name, _ in (*own, *estate)}
        estate += trait_signals(facts.days_in_estate, "in this estate", in_all, is_attack=in_estate, **written)
        seen_here = {name for name, _ in (*own, *place)}
        place += trait_signals(facts.days_in_workload, here, seen_here, is_attack=in_workload, **written)
    return ScoredSignals(own, estate, place)
