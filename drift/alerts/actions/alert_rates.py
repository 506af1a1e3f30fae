"""Report to rollouts how many alerts the sensors on their version raise, compared with the hour before.

The fleet does not know alerts, so beat calls this, and the fleet decides what a rate means. Counts are kept by the
minute and only the newest minutes are counted again, because this runs every ten seconds and must not read an hour of
events each time.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from drift.alerts.actions.ingest import MAX_AHEAD
from drift.alerts.models import AlertMinute, RateWatch
from drift.fleet.actions.rollout_control import halt_on_alerts
from drift.fleet.domain.rollout_limits import AlertRate
from drift.fleet.models import Rollout
from drift.fleet.queries.rollout_waves import alert_limited_rollouts

BASELINE: Final = dt.timedelta(hours=1)
"""The time before the version was saved, with whose alerts its own are compared."""
MAX_DELAY: Final = dt.timedelta(minutes=10)
"""Events that arrive later than this after they were observed are not counted."""
LOCK: Final = "report alert rates"
COUNT: Final = """
WITH touched AS MATERIALIZED (
    SELECT DISTINCT fingerprint FROM alerts_alertpulse JOIN alerts_alert ON id = alert_id
    WHERE updated_at >= %(touched)s
)
INSERT INTO alerts_alertminute (rollout_id, minute, sensor_id, is_after, alerts)
SELECT %(rollout)s, date_trunc('minute', observed_at), sensor_id, policy_number IS NOT DISTINCT FROM %(number)s,
       count(DISTINCT fingerprint)
FROM touched JOIN alerts_driftevent AS event USING (fingerprint)
WHERE observed_on >= %(first_day)s AND observed_at >= %(first)s AND event.action <> 'ignore'
    AND (policy_number = %(number)s OR observed_at < %(saved)s)
    AND sensor_id NOT IN (SELECT id FROM fleet_sensor WHERE quarantined_at IS NOT NULL)
GROUP BY 2, 3, 4
ON CONFLICT (rollout_id, minute, sensor_id, is_after) DO UPDATE SET alerts = excluded.alerts
"""
"""Counts fingerprints, not events: one program in a loop does not make a version noisy. Events are found through the
pulses, which every alerting event updates: the table of events has no index by time alone."""
RATE: Final = """
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


def report_alert_rates() -> int:
    """Report the alert rates of all rollouts that halt on alerts; return how many halted.

    Does nothing while another process reports.
    """
    watched = alert_limited_rollouts()
    if not watched:
        return 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [LOCK])
        if cursor.fetchone() != (True,):
            return 0
        return sum(halt_on_alerts(rollout, count_alert_rate(rollout)) for rollout in watched)


def count_alert_rate(rollout: Rollout) -> AlertRate:
    """Count the alerts of the sensors that applied the rollout's version, on it and in the hour before it was saved."""
    now = timezone.now()
    first = baseline = rollout.created_at - BASELINE
    watch = RateWatch.objects.filter(rollout=rollout).first()
    if watch is not None:
        # Everything before was counted the last time; a whole minute again, because counts are stored by the minute.
        first = max(baseline, (watch.counted_to - MAX_DELAY).replace(second=0, microsecond=0))
    values: dict[str, int | dt.date] = {
        "rollout": rollout.pk,
        "number": rollout.version_id,
        "saved": rollout.created_at,
        "first": first,
        "first_day": first.astimezone(dt.UTC).date(),
        # A sensor whose clock is ahead observed the event "later" than its alert's pulse was updated.
        "touched": first - MAX_AHEAD,
    }
    with connection.cursor() as cursor:
        cursor.execute(COUNT, values)
        RateWatch.objects.update_or_create(rollout=rollout, defaults={"counted_to": now})
        cursor.execute(RATE, {"rollout": rollout.pk, "now": now})
        return AlertRate(*cursor.fetchone())


def delete_old_rates() -> None:
    """Delete the counts of rollouts that no longer halt on alerts."""
    watched = [rollout.pk for rollout in alert_limited_rollouts()]
    AlertMinute.objects.exclude(rollout__in=watched).delete()
    RateWatch.objects.exclude(rollout__in=watched).delete()
