"""Spend the budgets of alerts that a sensor and its containers may open, exactly, in the batch's transaction.

An advisory lock of the sensor lasts until the batch commits, so batches of one sensor that open alerts follow one
another, in however many processes; batches that open none never come here. A batch that is rolled back spends nothing.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from psycopg import Cursor

from accounts import audit
from accounts.models import User
from drift.alerts.domain.enriched_events import BatchSource
from drift.alerts.domain.flood_limits import SENSOR, WINDOW, SensorBudgets, SpentBudget
from drift.alerts.models import Alert, AlertBudget

LOCK: Final = """
SELECT quarantined_at IS NOT NULL, pg_advisory_xact_lock(hashtextextended('alert budget ' || id, 0)) FROM fleet_sensor
WHERE id = %s FOR KEY SHARE
"""
"""Both locks last until the batch commits. A quarantine waits for the row's, and finds the alerts that the batch opens.
One statement, because a batch of one event has few others."""
READ: Final = """
SELECT container_id, opened, window_at, flooding_since, excess_at FROM alerts_alertbudget
WHERE sensor_id = %s AND container_id = ANY(%s)
"""
"""A statement of its own: its snapshot is taken once the lock is held, and so has what the batch before committed."""
WRITE: Final = """
INSERT INTO alerts_alertbudget (sensor_id, container_id, opened, window_at, flooding_since, excess_at)
SELECT %s, spent.* FROM jsonb_to_recordset(%s::jsonb) AS spent (
    container_id text, opened integer, window_at timestamptz, flooding_since timestamptz, excess_at timestamptz
)
ON CONFLICT (sensor_id, container_id) DO UPDATE SET opened = excluded.opened, window_at = excluded.window_at,
    flooding_since = excluded.flooding_since, excess_at = excluded.excess_at
"""


class QuarantineChanged(Exception):
    """The sensor was put in quarantine, or out of it, after the batch was authenticated: begin again."""


def spend_budgets(cursor: Cursor[tuple[Any, ...]], source: BatchSource, containers: list[str]) -> list[str | None]:
    """Spend an alert for each container in the list; return for each None, or the budget that is used up.

    Raises QuarantineChanged.
    """
    sensor_id = source.sensor_id
    cursor.execute(LOCK, [sensor_id], prepare=True)
    row = cursor.fetchone()
    if row is None or row[0] != source.quarantined:
        raise QuarantineChanged
    now = timezone.now()
    keys = sorted({SENSOR, *containers})
    cursor.execute(READ, [sensor_id, keys], prepare=True)
    budgets = SensorBudgets(
        settings.NEW_ALERTS_PER_SENSOR,
        settings.NEW_ALERTS_PER_CONTAINER,
        now,
        {row[0]: SpentBudget(*row[1:]) for row in cursor},
    )
    floods = [budgets.flood(container) for container in containers]
    spent = [{"container_id": key, **msgspec.to_builtins(row)} for key, row in sorted(budgets.rows.items())]
    cursor.execute(WRITE, [sensor_id, msgspec.json.encode(spent).decode()], prepare=True)
    return floods


@transaction.atomic(durable=True)
def release_flood(actor: User, alert: Alert) -> bool:
    """Let the container or the sensor of a flood alert open alerts again; return False where it may already."""
    key = alert.container_id if alert.is_container_flood else SENSOR
    with connection.cursor() as cursor:
        # A batch that has read the budget would write it back.
        cursor.execute(LOCK, [alert.sensor_id])
    flooding = AlertBudget.objects.filter(sensor=alert.sensor_id, container_id=key, flooding_since__isnull=False)
    if not flooding.delete()[0]:
        return False
    audit.record(actor, "released the flood limit of", "alert", alert.pk, name=alert.title)
    return True


def delete_old_budgets(now: dt.datetime | None = None) -> int:
    """Delete budgets whose time has passed; return how many."""
    before = (now or timezone.now()) - 2 * WINDOW
    old = AlertBudget.objects.filter(window_at__lt=before).exclude(excess_at__gte=before)
    deleted: int = old.delete()[0]
    return deleted
