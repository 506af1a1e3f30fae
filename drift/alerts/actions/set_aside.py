"""Set aside the alerts of sensors in quarantine, and bring them back when it is lifted (docs/alerts.md#quarantine).

Each step may run twice, and changes a chunk per transaction, in fingerprint order, as ingest and triage lock alerts.
"""

from __future__ import annotations

from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from drift.alerts.actions.bulk_insert import copy_rows
from drift.alerts.models import ActivityKind, Alert, AlertActivity
from drift.fleet.models import Sensor

CHUNK: Final = 500
HONEST: Final = """
EXISTS (
    SELECT FROM alerts_driftevent AS event
    WHERE event.fingerprint = alert.fingerprint AND event.action <> 'ignore'
        AND event.observed_on BETWEEN (alert.first_seen AT TIME ZONE 'UTC')::date
            AND (pulse.last_seen AT TIME ZONE 'UTC')::date
        AND event.observed_at BETWEEN alert.first_seen AND pulse.last_seen
        AND event.sensor_id <> alert.sensor_id
        AND event.received_at <= coalesce(alert.set_aside_at, 'infinity')
        AND NOT EXISTS (
            SELECT FROM fleet_sensor AS other
            WHERE other.id = event.sensor_id AND other.set_aside_since <= event.received_at
        )
)
"""
"""Whether a sensor that is trusted reported the alert's file too, before it was set aside: a thief who reports what
honest sensors see must not hide theirs, and two stolen sensors must not shield each other."""
ASIDE: Final = f"""
WITH chosen AS (
    SELECT alert.id FROM alerts_alert AS alert JOIN alerts_alertpulse AS pulse ON pulse.alert_id = alert.id
    WHERE alert.sensor_id = %(sensor)s AND alert.created_at >= %(since)s AND alert.set_aside_at IS NULL
        AND NOT alert.sample AND NOT {HONEST}
    ORDER BY alert.fingerprint, alert.id LIMIT %(chunk)s FOR NO KEY UPDATE OF alert
)
UPDATE alerts_alert AS alert
SET set_aside_at = %(now)s, current = false, changed_at = %(now)s, revision = revision + 1
FROM chosen WHERE chosen.id = alert.id RETURNING alert.id
"""  # noqa: S608 - made of the constant above
RETURNING: Final = f"""
SELECT alert.id FROM alerts_alert AS alert JOIN alerts_alertpulse AS pulse ON pulse.alert_id = alert.id
WHERE alert.set_aside_at IS NOT NULL AND alert.sensor_id = %(sensor)s
    AND (%(quarantined_at)s::timestamptz IS NULL OR (alert.created_at < %(quarantined_at)s AND {HONEST}))
ORDER BY alert.fingerprint, alert.id LIMIT %(chunk)s FOR NO KEY UPDATE OF alert
"""  # noqa: S608 - made of the constant above
"""Of a sensor that is in quarantine still: what another one reported whose quarantine is lifted. What it opened since
counts nothing of others, so only older alerts are looked at."""
BACK: Final = """
WITH back AS (
    SELECT alert.id, alert.status IN ('active', 'in_progress') AS open,
        EXISTS (SELECT FROM alerts_alert AS other WHERE other.current AND other.fingerprint = alert.fingerprint)
            OR EXISTS (
                SELECT FROM alerts_alert AS newer WHERE newer.set_aside_at IS NOT NULL
                    AND newer.sensor_id = alert.sensor_id AND newer.fingerprint = alert.fingerprint
                    AND newer.id > alert.id
            ) AS replaced
    FROM alerts_alert AS alert WHERE alert.id = ANY(%(ids)s)
)
UPDATE alerts_alert AS alert
SET set_aside_at = NULL, current = NOT replaced, changed_at = %(now)s, revision = revision + 1,
    status = CASE WHEN open AND replaced THEN 'dismissed' ELSE status END,
    verdict = CASE WHEN open AND replaced THEN 'duplicate' ELSE verdict END,
    closed_at = CASE WHEN open AND replaced THEN %(now)s ELSE closed_at END
FROM back WHERE back.id = alert.id
"""
"""An open alert comes back as a duplicate where another one took its place: two would both claim the next event."""


def settle_quarantines() -> int:
    """Set aside and bring back what quarantines require; return the number of alerts changed."""
    changed = 0
    for sensor in Sensor.objects.filter(quarantined_at__isnull=False).order_by("pk"):
        while count := _set_aside(sensor):
            changed += count
    aside = Alert.objects.filter(set_aside_at__isnull=False)
    for sensor in Sensor.objects.filter(pk__in=aside.values("sensor")).order_by("pk"):
        while count := _bring_back(sensor):
            changed += count
    return changed


@transaction.atomic(durable=True)
def _set_aside(sensor: Sensor) -> int:
    # Locked: were the quarantine lifted meanwhile, the alerts would stay aside until the next run.
    row = Sensor.objects.select_for_update(no_key=True).get(pk=sensor.pk)
    if row.set_aside_since is None:
        return 0
    values = {"sensor": row.pk, "since": row.set_aside_since, "now": timezone.now(), "chunk": CHUNK}
    with connection.cursor() as cursor:
        cursor.execute(ASIDE, values)
        ids = [pk for (pk,) in cursor.fetchall()]
    copy_rows([AlertActivity(alert_id=pk, kind=ActivityKind.SET_ASIDE) for pk in ids])
    return len(ids)


@transaction.atomic(durable=True)
def _bring_back(sensor: Sensor) -> int:
    row = Sensor.objects.select_for_update(no_key=True).get(pk=sensor.pk)
    values = {"sensor": row.pk, "quarantined_at": row.quarantined_at, "chunk": CHUNK}
    with connection.cursor() as cursor:
        cursor.execute(RETURNING, values)
        ids = [pk for (pk,) in cursor.fetchall()]
        cursor.execute(BACK, {"ids": ids, "now": timezone.now()})
    copy_rows([AlertActivity(alert_id=pk, kind=ActivityKind.RESTORED) for pk in ids])
    return len(ids)
