"""Proof of detection: a harmless drift of a sensor's own came through to the portal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from django.db import connection
from django.utils import timezone

from drift.fleet.models import Sensor
from sensor import wire

EVERY: Final = dt.timedelta(hours=1)
"""Between two canaries of a sensor."""


def seconds_for(sensor: Sensor) -> float | None:
    """How often this sensor is to let its canary fly; None: not at all."""
    return EVERY.total_seconds() if sensor.cluster.environment.proved_since else None


def record_proof(sensor: Sensor, canaries: Sequence[wire.Event]) -> None:
    """Note the newest of a sensor's canaries, and how long it took from its exec to here; older ones are no news."""
    if not canaries:
        return
    seen_at = max(event.observed_at for event in canaries)
    took = max(0.0, (timezone.now() - seen_at).total_seconds())
    with connection.cursor() as cursor:
        cursor.execute(_UPSERT, [sensor.pk, seen_at, took])


_UPSERT: Final = """
INSERT INTO fleet_proof AS stored (sensor_id, seen_at, seconds) VALUES (%s, %s, %s)
ON CONFLICT (sensor_id) DO UPDATE SET seen_at = excluded.seen_at, seconds = excluded.seconds
WHERE stored.seen_at < excluded.seen_at
"""
