"""Proof of detection: the newest canary of each sensor that reached the portal (docs/proof.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.db import connection
from django.utils import timezone

from drift.fleet.models import Sensor
from sensor import wire

_UPSERT: Final = """
INSERT INTO fleet_proof AS stored (sensor_id, seen_at, seconds) VALUES (%s, %s, %s)
ON CONFLICT (sensor_id) DO UPDATE SET seen_at = excluded.seen_at, seconds = excluded.seconds
WHERE stored.seen_at < excluded.seen_at OR stored.seen_at > now() + interval '1 minute'
"""


def record_proof(sensor: Sensor, canaries: Sequence[wire.Event]) -> None:
    """Record the newest of a sensor's canaries, and the seconds from its exec until now; ignore older ones.

    One from the future is from before a clock was set back: any takes its place."""
    if not canaries:
        return
    seen_at = max(event.observed_at for event in canaries)
    seconds = max(0.0, (timezone.now() - seen_at).total_seconds())
    with connection.cursor() as cursor:
        cursor.execute(_UPSERT, [sensor.pk, seen_at, seconds])
