"""How much the sensors that run a version alert, against the hour before: reported to rollouts that halt on it.

The fleet knows nothing of alerts, so beat asks here, and the fleet decides what a rate means.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.db import connection
from django.utils import timezone

from drift.fleet.actions import waves
from drift.fleet.models import Rollout

BEFORE: Final = dt.timedelta(hours=1)
"""What the alerts on the new version are measured against."""
_COUNTS: Final = """
WITH runs AS (
    SELECT sensor_id, acknowledged_at FROM fleet_delivery WHERE rollout_id = %(rollout)s AND state = 'applied'
), alerting AS (
    SELECT event.sensor_id, fingerprint, date_trunc('minute', observed_at) AS minute,
        policy_number IS NOT DISTINCT FROM %(number)s AS is_after
    FROM alerts_driftevent AS event JOIN runs ON runs.sensor_id = event.sensor_id
    WHERE observed_on >= %(first_day)s AND event.action IN ('alert', 'block')
        AND (policy_number IS NOT DISTINCT FROM %(number)s OR (observed_at >= %(since)s AND observed_at < %(saved)s))
), minutes AS (
    SELECT DISTINCT sensor_id, fingerprint, minute, is_after FROM alerting
)
SELECT
    (SELECT count(*) FROM runs),
    (SELECT coalesce(extract(epoch FROM sum(%(now)s - acknowledged_at)), 0)::float / 3600 FROM runs),
    (SELECT count(*) FROM minutes WHERE is_after),
    (SELECT count(*) FROM minutes WHERE NOT is_after)
"""
"""One alert that repeats counts once a minute, so that one busy loop is not taken for a noisy version.
By day and sensor, which is how the primary key of the events begins."""


def report() -> int:
    """Tell each rollout that halts on alerts how much its sensors alert; how many halted."""
    return sum(waves.halt_noisy(rollout, rate_of(rollout)) for rollout in waves.watched())


def rate_of(rollout: Rollout) -> waves.AlertRate:
    """Alerts of the sensors that applied the rollout's version, on it and in the hour before it was saved."""
    since = rollout.created_at - BEFORE
    facts: dict[str, int | dt.date | None] = {
        "rollout": rollout.pk,
        "number": rollout.version_id,
        "since": since,
        "saved": rollout.created_at,
        "first_day": since.astimezone(dt.UTC).date(),
        "now": timezone.now(),
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, facts)
        sensors, hours, alerts, before = cursor.fetchone()
    return waves.AlertRate(sensors, alerts, hours, before)
