"""One version's way to one sensor: wanted, fetched, and what the sensor says became of it.

    pending ──fetch──▶ fetched ──applied──▶ applied
       │                  ├─────rejected──▶ rejected ──applied──▶ applied
       └── a newer version is wanted or applied ──▶ superseded (also from fetched)

Words may come twice, late and in any order: every change is one conditional UPDATE, so a word that
no longer fits changes nothing, and neither the desired nor the applied number ever falls.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Iterable, Sequence

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from drift.fleet.actions import bundles
from drift.fleet.actions.heartbeats import store_heartbeat
from drift.fleet.models import Delivery, DeliveryState, Rollout, Sensor, SensorState
from drift.policy.actions.versions import raise_number_floor
from drift.policy.models import PolicyVersion
from sensor import wire

logger = logging.getLogger(__name__)

OPEN = (DeliveryState.PENDING, DeliveryState.FETCHED)
"""States that a rollout waits for."""
MAX_AHEAD = 10_000
"""How far past the latest version a reported number is believed: one compromised sensor must not
use up all numbers, and no backup is that many versions old."""
_OPEN_DELIVERIES = """
INSERT INTO fleet_delivery (rollout_id, sensor_id, state, created_at, error)
SELECT %s, sensor, 'pending', clock_timestamp(), '' FROM unnest(%s::uuid[]) AS sensor ON CONFLICT DO NOTHING
"""
"""By SQL: with the objects of bulk_create a chunk took twice as long."""


_RAISE_APPLIED = """
UPDATE fleet_sensor SET
    applied_number = greatest(applied_number, %(number)s),
    applied_at = CASE WHEN applied_number >= %(number)s THEN applied_at ELSE clock_timestamp() END,
    bundle_at = greatest(bundle_at, %(bundle_at)s)
WHERE id = %(sensor)s AND (
    applied_number IS NULL OR applied_number < %(number)s OR coalesce(bundle_at, '-infinity') < %(bundle_at)s
)
"""
_CLOSE_DELIVERIES = """
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
_FETCHED = """
UPDATE fleet_delivery AS delivery SET state = 'fetched', fetched_at = clock_timestamp()
FROM fleet_rollout AS rollout
WHERE rollout.id = delivery.rollout_id AND version_id = %s AND sensor_id = %s AND state = 'pending'
"""
"""These three are most of a rollout's work; building them with the ORM took longer than doing them."""


def latest_number() -> int | None:
    """The newest version's number; None before the first."""
    return PolicyVersion.objects.order_by("-number").values_list("number", flat=True).first()


@transaction.atomic
def set_desired_version(sensor_ids: Sequence[uuid.UUID], number: int) -> list[uuid.UUID]:
    """Make `number` the desired version of those that are live and want an older one or none.

    Returns the ids that were changed. Rows are locked in id order, so two calls cannot deadlock.
    """
    rows = Sensor.objects.select_for_update().filter(pk__in=sensor_ids, state=SensorState.LIVE).order_by("pk")
    current = [(pk, old or 0) for pk, old in rows.values_list("pk", "desired_version_id") if (old or 0) <= number]
    changed = [pk for pk, old in current if old < number]
    Sensor.objects.filter(pk__in=changed).update(desired_version_id=number)
    rollout, _ = Rollout.objects.get_or_create(version_id=number)
    with connection.cursor() as cursor:
        cursor.execute(_OPEN_DELIVERIES, [rollout.pk, [pk for pk, _ in current]])
    _supersede(changed, number)
    return changed


def mark_fetched(sensor: Sensor, number: int) -> None:
    """The sensor holds this version's bundle: it was handed out, or the sensor named its ETag."""
    with connection.cursor() as cursor:
        cursor.execute(_FETCHED, [number, sensor.pk])


def record_status(sensor: Sensor, word: wire.PolicyStatus) -> None:
    """The sensor applied or rejected a version.

    A number or document that this portal never gave means that it was restored from an older
    backup: then the next version is numbered above, so that the sensor obeys it.
    """
    known = PolicyVersion.objects.filter(pk=word.number).values_list("digest", flat=True).first()
    if word.state == "rejected":
        _reject(sensor, word)
        return
    if known != word.digest:
        _foreign_number(sensor, word.number)
    if known in (None, word.digest):
        _apply(sensor, word.number, [*OPEN, DeliveryState.REJECTED], bundles.date_of(word.etag))


def record_heartbeat(sensor: Sensor, beat: wire.Heartbeat) -> None:
    """What the sensor is and counts; what it obeys makes up for a status call that was lost."""
    store_heartbeat(sensor, beat)
    number, known = beat.applied_number or 0, sensor.applied_number or 0
    if number < known:
        return
    bundle_at = bundles.date_of(beat.applied_etag or "")
    if number == known and (bundle_at is None or (sensor.bundle_at and sensor.bundle_at >= bundle_at)):
        return
    if number > known and not PolicyVersion.objects.filter(pk=number).exists():
        _foreign_number(sensor, number)
    # A heartbeat carries no digest: only what the sensor has fetched from here is taken as applied.
    _apply(sensor, number, [DeliveryState.FETCHED], bundle_at)


def close_deliveries(sensor_ids: Iterable[uuid.UUID]) -> None:
    """The sensors are gone: no rollout waits for them."""
    Delivery.objects.filter(sensor__in=sensor_ids, state__in=OPEN).update(state=DeliveryState.SUPERSEDED)


def _of(sensor: Sensor, number: int) -> QuerySet[Delivery]:
    return Delivery.objects.filter(sensor=sensor, rollout__version=number)


@transaction.atomic
def _apply(sensor: Sensor, number: int, from_states: list[DeliveryState], bundle_at: dt.datetime | None = None) -> None:
    """The sensor's row comes first, as in `want`, so the two cannot deadlock."""
    with connection.cursor() as cursor:
        cursor.execute(_RAISE_APPLIED, {"sensor": sensor.pk, "number": number, "bundle_at": bundle_at})
        cursor.execute(
            _CLOSE_DELIVERIES,
            {"sensor": sensor.pk, "number": number, "states": [str(state) for state in from_states]},
        )


def _reject(sensor: Sensor, word: wire.PolicyStatus) -> None:
    logger.warning("sensor %s rejected version %s: %r", sensor.pk, word.number, word.error)
    _of(sensor, word.number).filter(state__in=OPEN).update(
        state=DeliveryState.REJECTED, acknowledged_at=timezone.now(), error=word.error
    )


def _supersede(sensor_ids: Sequence[uuid.UUID], number: int) -> None:
    older = Delivery.objects.filter(sensor__in=sensor_ids, rollout__version__number__lt=number, state__in=OPEN)
    older.update(state=DeliveryState.SUPERSEDED)


def _foreign_number(sensor: Sensor, number: int) -> None:
    if number > (latest_number() or 0) + MAX_AHEAD:
        logger.error("sensor %s reports version %s, which is not believed", sensor.pk, number)
        return
    logger.warning("sensor %s runs a version %s that this portal did not give", sensor.pk, number)
    raise_number_floor(number)
