"""From a sensor's batch to stored events and alerts, in one transaction (DESIGN §4).

A batch is answered for only once it is durable. Whoever sends it again, in whatever order or
company, changes nothing: an event is stored once, and only what was stored in this transaction counts.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import psycopg
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from psycopg import errors as pg

from drift.alerts.actions import count_rule_hits as hits
from drift.alerts.actions import detail_limits as limits
from drift.alerts.actions import event_keys as places
from drift.alerts.actions import partitions
from drift.alerts.actions import store_events as staging
from drift.alerts.actions.raise_alerts import raise_alerts
from drift.alerts.domain.enriched_events import BatchSource, EnrichedEvent
from drift.alerts.domain.fingerprints import node_series
from drift.alerts.errors import EventRefused, IngestUnavailable
from drift.alerts.queries import compiled_policies as policies
from drift.fleet.actions import detection_proofs as proofs
from drift.fleet.models import Sensor
from sensor import wire

logger = logging.getLogger(__name__)

MAX_AHEAD: Final = dt.timedelta(minutes=10)
"""A clock that is further ahead than this is wrong: the sensor restamps (DESIGN §3)."""
ATTEMPTS: Final = 6
ONE_CURRENT: Final = "one_current_alert"
RETRIED: Final = (pg.DeadlockDetected, pg.SerializationFailure, pg.UniqueViolation, pg.ForeignKeyViolation)
"""Races that a second try wins. UniqueViolation: another batch opened the same alert a moment ago."""


def ingest(sensor: Sensor, raws: Sequence[bytes | msgspec.Raw]) -> wire.EventsResponse:
    """Store a batch of JSON events and raise its alerts.

    Raises EventRefused for the first event that cannot be stored (nothing of the batch is), and
    Unavailable where the database is away or too busy; then the same batch may come again.
    """
    source = BatchSource.of(sensor)
    decoded = decode(raws)
    events = [event for event in decoded if not event.canary]
    try:
        proofs.record_proof(sensor, [event for event in decoded if event.canary])
        stored = _store(source, events) if events else wire.EventsResponse(0, 0)
        return wire.EventsResponse(len(decoded) - stored.duplicates, stored.duplicates)
    except DatabaseError as error:
        logger.warning("a batch of %d events from %s was not stored: %s", len(events), sensor.pk, error)
        raise IngestUnavailable from error


def decode(raws: Sequence[bytes | msgspec.Raw], now: dt.datetime | None = None) -> list[wire.Event]:
    """The events of a batch, `observed_at` in UTC. Raises EventRefused with index and field of the first bad one."""
    now = now or timezone.now()
    newest = now + MAX_AHEAD
    oldest = dt.datetime.combine(partitions.oldest_day(now.date()), dt.time(), dt.UTC)
    events = []
    for index, raw in enumerate(raws):
        try:
            event = wire.decode_event(raw)
        except wire.WireError as fault:
            raise EventRefused(fault.code, str(fault), index, fault.field) from None
        if event.observed_at > newest or event.last_at > newest:
            raise EventRefused("clock_skew", "The event is from the future.", index, "observed_at")
        if event.observed_at < oldest:
            raise EventRefused("beyond_retention", "The event is older than events are kept.", index, "observed_at")
        if event.observed_at.tzinfo is not dt.UTC:
            event.observed_at = event.observed_at.astimezone(dt.UTC)
        event.last_at = max(event.last_at, event.observed_at)  # a clock was set back between the two
        events.append(event)
    return events


def _store(source: BatchSource, events: list[wire.Event]) -> wire.EventsResponse:
    """Store as if every event were new; where one is not, merge. Races are run again."""
    packed, store = _packed(source, events), staging.copy_new
    for attempt in range(ATTEMPTS):
        try:
            return _once(source, packed, store)
        except DatabaseError as error:
            cause = error.__cause__
            if isinstance(cause, pg.UniqueViolation) and cause.diag.constraint_name != ONE_CURRENT:
                store = staging.merge
                continue
            if attempt + 1 == ATTEMPTS or not _mend(cause):
                raise
            if isinstance(cause, pg.ForeignKeyViolation):
                packed = _packed(source, events)
            time.sleep(random.uniform(0.2, 1.0) * 0.01 * 2**attempt)  # noqa: S311 - jitter, not a secret
    raise IngestUnavailable


def _packed(source: BatchSource, events: list[wire.Event]) -> staging.Packed:
    return staging.pack(source.sensor.pk, place(source, events))


def _mend(cause: BaseException | None) -> bool:
    """Do away with what made an attempt fail; whether another one makes sense."""
    if isinstance(cause, pg.CheckViolation) and "no partition" in str(cause):
        partitions.keep_partitions()
        return True
    if isinstance(cause, pg.ForeignKeyViolation):
        places.forget()
    return isinstance(cause, RETRIED)


def place(source: BatchSource, events: list[wire.Event]) -> list[EnrichedEvent]:
    """Decide what no sensor decided, and find each event's workload, binary and fingerprint."""
    found: list[EnrichedEvent] = []
    for event, spot in zip(events, places.places(source, events), strict=True):
        kind = node_series(source.cluster_id, source.sensor.node) if event.identity == "incomplete" else spot.series
        decision = event.decision or _decided(source, event)
        found.append(EnrichedEvent(event, decision, spot.workload_id, spot.binary_id, kind))
    _limit(found)
    return found


def _limit(events: list[EnrichedEvent]) -> None:
    """Let go of the detail of those that are past their fingerprint's limit for this clock hour."""
    hour, limit = limits.clock_hour(), limits.DETAILS_PER_HOUR
    told = Counter([seen.series for seen in events])
    past = {kind for kind, count in told.items() if not kind.admits(hour, count, limit)}
    if not past:
        return
    told.clear()
    for seen in events:
        if seen.series in past:
            told[seen.series] += 1
            seen.keep_detail = seen.series.admits(hour, told[seen.series], limit)


def _decided(source: BatchSource, event: wire.Event) -> wire.Decision:
    """What a sensor that has no policy yet would have decided: no rule is asked of a stranger."""
    if event.identity == "incomplete":
        return wire.Decision("alert", None, "identity_incomplete")
    return policies.decide(source.sensor.desired_version_id, source.facts(event))


def _once(source: BatchSource, packed: staging.Packed, store: staging.Store) -> wire.EventsResponse:
    with transaction.atomic(durable=True):
        connection.ensure_connection()
        with connection.wrap_database_errors, _cursor() as cursor:
            stored = store(cursor, packed)
            hits.note(cursor, stored)
            alerting = [seen for seen in stored if seen.alerts]
            if alerting:
                raise_alerts(source, alerting, cursor)
    limits.spend([seen.series for seen in stored], limits.DETAILS_PER_HOUR)
    return wire.EventsResponse(len(stored), len(packed.events) - len(stored))


def _cursor() -> psycopg.Cursor[tuple[Any, ...]]:
    """psycopg's own cursor on Django's connection: it binds on the server, which lets statements be prepared."""
    return psycopg.Cursor(connection.connection)
