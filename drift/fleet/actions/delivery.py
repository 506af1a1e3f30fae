"""The delivery of one version to one sensor: desired, fetched, and acknowledged as applied or rejected.

    pending ──fetch──▶ fetched ──applied──▶ applied
       │                  ├─────rejected──▶ rejected ──applied──▶ applied
       └── a newer version is desired or applied ──▶ superseded (also from fetched)

Acknowledgements may arrive twice, late and in any order. Every change is one conditional UPDATE, so one that no longer
fits changes nothing, and neither the desired nor the applied number ever falls
(docs/delivery.md#states-of-a-delivery).
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Iterable, Sequence
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from drift.fleet.actions.heartbeats import store_heartbeat
from drift.fleet.models import Delivery, DeliveryState, Rollout, Sensor, SensorState
from drift.fleet.queries.bundles import bundle_date
from drift.fleet.queries.rollouts import OPEN_STATES
from drift.policy.models import PolicyVersion
from sensor import wire

logger = logging.getLogger(__name__)

KEPT_VERSIONS: Final = 20
"""Versions whose deliveries are kept."""
MAX_PRUNED: Final = 10_000
"""Deliveries deleted in one run, so that the transaction stays short; the next run continues."""

# SQL: building these statements with the ORM takes longer than running them, and they are most of a rollout's work.
_OPEN_DELIVERIES: Final = """
INSERT INTO fleet_delivery (rollout_id, sensor_id, state, created_at, error)
SELECT %s, sensor, 'pending', clock_timestamp(), '' FROM unnest(%s::uuid[]) AS sensor ON CONFLICT DO NOTHING
"""
_RAISE_APPLIED: Final = """
UPDATE fleet_sensor SET
    applied_number = greatest(applied_number, %(number)s),
    applied_at = CASE WHEN applied_number >= %(number)s THEN applied_at ELSE clock_timestamp() END,
    bundle_at = greatest(bundle_at, %(bundle_at)s)
WHERE id = %(sensor)s AND (
    applied_number IS NULL OR applied_number < %(number)s OR coalesce(bundle_at, '-infinity') < %(bundle_at)s
)
"""
_CLOSE_DELIVERIES: Final = """
UPDATE fleet_delivery AS delivery SET
    state = CASE WHEN version_id = %(number)s THEN 'applied' ELSE 'superseded' END,
    acknowledged_at = CASE WHEN version_id = %(number)s THEN clock_timestamp() ELSE acknowledged_at END,
    error = ''
FROM fleet_rollout AS rollout
WHERE rollout.id = delivery.rollout_id AND delivery.sensor_id = %(sensor)s AND (
    (version_id = %(number)s AND state = ANY(%(states)s))
    OR (version_id < %(number)s AND state IN ('pending', 'fetched'))
)
"""
_MARK_FETCHED: Final = """
UPDATE fleet_delivery AS delivery SET state = 'fetched', fetched_at = clock_timestamp()
FROM fleet_rollout AS rollout
WHERE rollout.id = delivery.rollout_id AND version_id = %s AND sensor_id = %s AND state = 'pending'
"""
_PRUNE: Final = """
DELETE FROM fleet_delivery WHERE id IN (
    SELECT delivery.id FROM fleet_delivery AS delivery JOIN fleet_rollout AS rollout ON rollout.id = rollout_id
    WHERE version_id < (SELECT min(number) FROM (
        SELECT number FROM policy_policyversion ORDER BY number DESC LIMIT %s
    ) AS kept) LIMIT %s
)
"""


@transaction.atomic
def set_desired_version(sensor_ids: Sequence[uuid.UUID], number: int) -> list[uuid.UUID]:
    """Make `number` the desired version of those that are live and have an older one or none; return their ids."""
    # Rows are locked in the order of ids, so that two calls cannot deadlock.
    rows = Sensor.objects.select_for_update().filter(pk__in=sensor_ids, state=SensorState.LIVE).order_by("pk")
    current = [(pk, old or 0) for pk, old in rows.values_list("pk", "desired_version_id") if (old or 0) <= number]
    changed = [pk for pk, old in current if old < number]
    Sensor.objects.filter(pk__in=changed).update(desired_version_id=number)
    rollout, _ = Rollout.objects.get_or_create(version_id=number)
    with connection.cursor() as cursor:
        cursor.execute(_OPEN_DELIVERIES, [rollout.pk, [pk for pk, _ in current]])
    older = Delivery.objects.filter(sensor__in=changed, rollout__version__number__lt=number, state__in=OPEN_STATES)
    older.update(state=DeliveryState.SUPERSEDED)
    return changed


def mark_fetched(sensor: Sensor, number: int) -> None:
    """Record that the sensor has this version's bundle: it received it, or named its ETag."""
    with connection.cursor() as cursor:
        cursor.execute(_MARK_FETCHED, [number, sensor.pk])


def record_status(sensor: Sensor, status: wire.PolicyStatus) -> None:
    """Record that the sensor applied or rejected a version."""
    if status.state == "rejected":
        logger.warning("sensor %s rejected version %s: %r", sensor.pk, status.number, status.error)
        deliveries = Delivery.objects.filter(sensor=sensor, rollout__version=status.number, state__in=OPEN_STATES)
        deliveries.update(state=DeliveryState.REJECTED, acknowledged_at=timezone.now(), error=status.error)
        return
    # A version that this portal never issued counts only with its proof (drift.fleet.actions.number_proofs).
    if PolicyVersion.objects.filter(pk=status.number, digest=status.digest).exists():
        _apply(sensor, status.number, [*OPEN_STATES, DeliveryState.REJECTED], bundle_date(status.etag))


def record_heartbeat(sensor: Sensor, beat: wire.Heartbeat) -> None:
    """Store the heartbeat; the version that it names makes up for an acknowledgement that was lost."""
    store_heartbeat(sensor, beat)
    number, known = beat.applied_number or 0, sensor.applied_number or 0
    if number < known:
        return
    bundle_at = bundle_date(beat.applied_etag or "")
    if number == known and (bundle_at is None or (sensor.bundle_at and sensor.bundle_at >= bundle_at)):
        return
    if number > known and not PolicyVersion.objects.filter(pk=number).exists():
        return
    # A heartbeat has no digest, so it acknowledges only a version that the sensor fetched from this portal.
    _apply(sensor, number, [DeliveryState.FETCHED], bundle_at)


def acknowledge_applied(sensor: Sensor, number: int) -> None:
    """Record that the sensor runs version `number`, for which it has shown the signed bundle."""
    _apply(sensor, number, [], None)


def close_deliveries(sensor_ids: Iterable[uuid.UUID]) -> None:
    """Supersede open deliveries, so that no rollout waits for these sensors."""
    Delivery.objects.filter(sensor__in=sensor_ids, state__in=OPEN_STATES).update(state=DeliveryState.SUPERSEDED)


def prune_deliveries() -> int:
    """Delete deliveries of all but the newest KEPT_VERSIONS versions; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(_PRUNE, [KEPT_VERSIONS, MAX_PRUNED])
        return int(cursor.rowcount)


@transaction.atomic
def _apply(sensor: Sensor, number: int, from_states: list[DeliveryState], bundle_at: dt.datetime | None) -> None:
    # The sensor's row comes before its deliveries, as in `set_desired_version`, so that the two cannot deadlock.
    with connection.cursor() as cursor:
        cursor.execute(_RAISE_APPLIED, {"sensor": sensor.pk, "number": number, "bundle_at": bundle_at})
        cursor.execute(
            _CLOSE_DELIVERIES,
            {"sensor": sensor.pk, "number": number, "states": [str(state) for state in from_states]},
        )
