"""Store a sensor's batch and raise its alerts, in one transaction (docs/alerts.md#ingest).

A batch is acknowledged only once it is durable. Resending it, in any order and combination, changes nothing: an event
is stored once, and alerts count only what this transaction stored.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec
import psycopg
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from psycopg.errors import (
    CheckViolation,
    DeadlockDetected,
    ForeignKeyViolation,
    SerializationFailure,
    UniqueViolation,
)

from drift.alerts.actions import detail_limits, store_events
from drift.alerts.actions.alert_budgets import QuarantineChanged
from drift.alerts.actions.count_rule_hits import record_hits
from drift.alerts.actions.event_keys import clear_caches, event_keys
from drift.alerts.actions.partitions import keep_partitions
from drift.alerts.actions.raise_alerts import raise_alerts
from drift.alerts.domain.enriched_events import BatchSource, EnrichedEvent
from drift.alerts.domain.fingerprint_counters import fingerprint_counter
from drift.alerts.domain.fingerprints import node_fingerprint
from drift.alerts.errors import EventRejected, IngestUnavailable
from drift.alerts.queries import compiled_policies
from drift.alerts.queries.batch_source import batch_source
from drift.alerts.queries.event_retention import oldest_day
from drift.fleet.actions.detection_proofs import record_proof
from drift.fleet.models import Sensor
from sensor import wire

logger = logging.getLogger(__name__)

MAX_AHEAD: Final = dt.timedelta(minutes=10)
"""How far a sensor's clock may be ahead. Past it the event gets `clock_skew`, and is sent again with a new time."""
MAX_ATTEMPTS: Final = 6
ONE_ALERT: Final = ("one_current_alert", "one_set_aside_alert")
RACES: Final = (DeadlockDetected, SerializationFailure, UniqueViolation, ForeignKeyViolation)
"""Errors after which the same batch may succeed: another transaction was first, and is over."""


def ingest(sensor: Sensor, raws: Sequence[bytes | msgspec.Raw]) -> wire.EventsResponse:
    """Store a batch of JSON events and raise its alerts.

    Raises EventRejected for the first event that cannot be stored (then nothing of the batch is), and IngestUnavailable
    where the database is down or too busy; then the same batch may be sent again.
    """
    source = batch_source(sensor)
    decoded = decode(raws)
    events = [event for event in decoded if not event.canary]
    try:
        record_proof(sensor, [event for event in decoded if event.canary])
        stored = _store(source, events) if events else wire.EventsResponse(0, 0)
        return wire.EventsResponse(len(decoded) - stored.duplicates, stored.duplicates)
    except DatabaseError as error:
        logger.warning("a batch of %d events from %s was not stored: %s", len(events), sensor.pk, error)
        raise IngestUnavailable from error


def decode(raws: Sequence[bytes | msgspec.Raw], now: dt.datetime | None = None) -> list[wire.Event]:
    """Return the events of a batch, `observed_at` in UTC. Raises EventRejected for the first bad one."""
    now = now or timezone.now()
    newest = now + MAX_AHEAD
    oldest = dt.datetime.combine(oldest_day(now.date()), dt.time(), dt.UTC)
    events = []
    for index, raw in enumerate(raws):
        try:
            event = wire.decode_event(raw)
            _times_to_utc(event.process)
        except wire.WireError as error:
            raise EventRejected(error.code, str(error), index, error.field) from None
        if event.observed_at > newest or event.last_at > newest:
            raise EventRejected("clock_skew", "The event is from the future.", index, "observed_at")
        if event.observed_at < oldest:
            raise EventRejected(
                "beyond_retention", "The event is older than the retention period.", index, "observed_at"
            )
        # The node's clock may have been set back between the first and the last execution.
        event.last_at = max(event.last_at, event.observed_at)
        # Partitions and hours are those of UTC, and PostgreSQL rejects offsets from 16 hours. Only now: near year 1 or
        # 9999 the conversion would overflow.
        if event.observed_at.tzinfo is not dt.UTC:
            event.observed_at = event.observed_at.astimezone(dt.UTC)
        if event.last_at.tzinfo is not dt.UTC:
            event.last_at = event.last_at.astimezone(dt.UTC)
        events.append(event)
    return events


def _times_to_utc(process: wire.Process) -> None:
    """Convert the times of a process, which nothing compares with a bound. Raises WireError outside the calendar."""
    for owner, name, field in (
        (process, "started_at", "process.started_at"),
        (process.written_by, "at", "process.written_by.at"),
    ):
        time: dt.datetime | None = getattr(owner, name, None)
        if time is None or time.tzinfo is dt.UTC:
            continue
        try:
            setattr(owner, name, time.astimezone(dt.UTC))
        except OverflowError:
            raise wire.WireError("invalid", "The time is outside the calendar in UTC.", field) from None


def enrich(source: BatchSource, events: list[wire.Event]) -> list[EnrichedEvent]:
    """Decide the events that no sensor decided, and find each one's workload, binary and fingerprint."""
    enriched = []
    for event, keys in zip(events, event_keys(source, events), strict=True):
        counter, decision = keys.counter, event.decision
        if event.identity == "incomplete":
            # One alert a node: the ids of unidentified containers would open one for each restart.
            counter = fingerprint_counter(node_fingerprint(source.cluster_id, source.node))
            # No rule is evaluated without an identity: one that ignores everything else would hide the event.
            decision = decision or wire.EventDecision("alert", None, compiled_policies.UNIDENTIFIED)
        elif decision is None:
            decision = compiled_policies.decide(source.desired_version, source.flat_event(event))
        if event.outcome == "none" and compiled_policies.would_block(decision, event.kind):
            event.outcome = "would_block"
        enriched.append(EnrichedEvent(event, decision, keys.workload_id, keys.binary_id, keys.provenance_id, counter))
    detail_limits.drop_excess_details(enriched)
    return enriched


def _store(source: BatchSource, events: list[wire.Event]) -> wire.EventsResponse:
    """Store as if every event were new; where one is not, merge. Retries what lost a race."""
    packed = store_events.pack_events(source.sensor_id, enrich(source, events))
    store: store_events.Store = store_events.copy_new
    for attempt in range(MAX_ATTEMPTS):
        try:
            return _store_once(source, packed, store)
        except QuarantineChanged:
            source = replace(source, quarantined=not source.quarantined)
        except DatabaseError as error:
            match error.__cause__:
                case UniqueViolation() as cause if cause.diag.constraint_name not in ONE_ALERT:
                    # The events' primary key: some are stored already. On ONE_ALERT another batch opened
                    # the same alert a moment ago, and the next attempt finds and counts it.
                    store = store_events.merge
                    continue
                case _ if attempt + 1 == MAX_ATTEMPTS:
                    raise
                case CheckViolation() as cause if "no partition" in str(cause):
                    keep_partitions()  # beat has been down for longer than partitions were created ahead
                case ForeignKeyViolation():
                    # Retention deleted a row whose id was cached.
                    clear_caches()
                    packed = store_events.pack_events(source.sensor_id, enrich(source, events))
                case cause if not isinstance(cause, RACES):
                    raise
        # Jitter: two batches that deadlocked would otherwise meet again.
        time.sleep(random.uniform(0.2, 1.0) * 0.01 * 2**attempt)  # noqa: S311 - not a secret
    raise IngestUnavailable


def _store_once(
    source: BatchSource, packed: store_events.PackedEvents, store: store_events.Store
) -> wire.EventsResponse:
    with transaction.atomic(durable=True):
        connection.ensure_connection()
        # psycopg's own cursor binds parameters on the server, so that statements can be prepared; Django's does not.
        with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
            stored = store(cursor, packed)
            if not source.quarantined:
                record_hits(cursor, source.cluster_id, stored)
            if alerting := [each for each in stored if each.raises_alert]:
                raise_alerts(source, alerting, cursor)
    detail_limits.count_stored([each.counter for each in stored], detail_limits.DETAILS_PER_HOUR)
    return wire.EventsResponse(len(stored), len(packed.events) - len(stored))
