"""How much the sensors that run a version alert, against the hour before: reported to rollouts that halt on it.

The fleet knows nothing of alerts, so beat asks here, and the fleet decides what a rate means. Counts are kept by
the minute, and only the newest minutes are counted anew: what is asked every ten seconds must not read an hour.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from drift.alerts.actions.ingest import MAX_AHEAD
from drift.alerts.models import AlertMinute, RateWatch
from drift.fleet.actions import rollout_waves as waves
from drift.fleet.models import Rollout

BEFORE: Final = dt.timedelta(hours=1)
"""What the alerts on the new version are measured against."""
LATE: Final = dt.timedelta(minutes=10)
"""What comes later than this after it was seen no longer counts."""
LOCK: Final = "report alert rates"
_COUNT: Final = """
WITH touched AS MATERIALIZED (
    SELECT DISTINCT fingerprint FROM alerts_alertpulse JOIN alerts_alert ON id = alert_id WHERE updated_at >= %(told)s
)
INSERT INTO alerts_alertminute (rollout_id, minute, sensor_id, is_after, alerts)
SELECT %(rollout)s, date_trunc('minute', observed_at), sensor_id, policy_number IS NOT DISTINCT FROM %(number)s,
       count(DISTINCT fingerprint)
FROM touched JOIN alerts_driftevent AS event USING (fingerprint)
WHERE observed_on >= %(first_day)s AND observed_at >= %(first)s AND event.action <> 'ignore'
    AND (policy_number = %(number)s OR observed_at < %(saved)s)
GROUP BY 2, 3, 4
ON CONFLICT (rollout_id, minute, sensor_id, is_after) DO UPDATE SET alerts = excluded.alerts
"""
"""One alert that repeats counts once a minute, so that one busy loop is not taken for a noisy version. Every event that
alerts touches its alert's pulse: so the alerts touched lately lead to the latest events, and to no others."""
_RATE: Final = """
WITH runs AS (
    SELECT sensor_id, acknowledged_at FROM fleet_delivery WHERE rollout_id = %(rollout)s AND state = 'applied'
), counted AS (
    SELECT is_after, sum(alerts)::bigint AS alerts FROM alerts_alertminute JOIN runs USING (sensor_id)
    WHERE rollout_id = %(rollout)s GROUP BY is_after
)
SELECT
    (SELECT count(*) FROM runs),
    coalesce((SELECT alerts FROM counted WHERE is_after), 0),
    (SELECT coalesce(extract(epoch FROM sum(%(now)s - acknowledged_at)), 0)::float / 3600 FROM runs),
    coalesce((SELECT alerts FROM counted WHERE NOT is_after), 0)
"""


def report() -> int:
    """Tell each rollout that halts on alerts how much its sensors alert; how many halted.

    Beside another report it does nothing.
    """
    watched = waves.watched()
    if not watched:
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [LOCK])
        if cursor.fetchone() != (True,):
            return 0
        return sum(waves.halt_on_alerts(rollout, alert_rate(rollout)) for rollout in watched)


def alert_rate(rollout: Rollout) -> waves.AlertRate:
    """Alerts of the sensors that applied the rollout's version, on it and in the hour before it was saved."""
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, _facts(rollout))
        RateWatch.objects.update_or_create(rollout=rollout, defaults={"counted_to": now})
        cursor.execute(_RATE, {"rollout": rollout.pk, "now": now})
        return waves.AlertRate(*cursor.fetchone())


def _facts(rollout: Rollout) -> dict[str, int | dt.date]:
    """What is counted now: at first all since the hour before, then what may have come since the last time."""
    first = since = rollout.created_at - BEFORE
    watch = RateWatch.objects.filter(rollout=rollout).first()
    if watch is not None:
        first = max(since, (watch.counted_to - LATE).replace(second=0, microsecond=0))
    return {
        "rollout": rollout.pk,
        "number": rollout.version_id,
        "saved": rollout.created_at,
        "first": first,
        "first_day": first.astimezone(dt.UTC).date(),
        "told": first - MAX_AHEAD,
    }


def forget() -> None:
    """Drop the counts of rollouts that no longer halt on alerts."""
    watched = [rollout.pk for rollout in waves.watched()]
    AlertMinute.objects.exclude(rollout__in=watched).delete()
    RateWatch.objects.exclude(rollout__in=watched).delete()
