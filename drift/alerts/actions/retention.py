"""What goes when its time has passed: closed alerts, and interned rows that nothing needs any more.

Each step may run twice, and is small: a chunk a transaction, so that nobody waits for it.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from drift.alerts.actions.partitions import oldest_day
from drift.alerts.models import CLOSED, Alert

CHUNK: Final = 1_000
UNUSED: Final = {
    "alerts_sighting": "",
    "alerts_binary": "AND NOT EXISTS (SELECT FROM alerts_alert WHERE binary_id = unused.id)",
    "alerts_workload": "AND NOT EXISTS (SELECT FROM alerts_alert WHERE workload_id = unused.id)",
}
"""Interned tables, those that refer to others first, and what else keeps a row."""


def drop_expired(now: dt.datetime | None = None) -> dict[str, int]:
    """Delete what is past its retention. Returns how many rows of each kind."""
    now = now or timezone.now()
    dropped = {"alerts": _drop_closed_alerts(now)}
    for table, kept in UNUSED.items():
        dropped[table] = _drop_unused(table, kept, now)
    dropped["incidents"] = _drop_empty_incidents(now)
    return dropped


def _drop_closed_alerts(now: dt.datetime) -> int:
    """Alerts closed longer ago than ALERT_RETENTION_DAYS, unless they still keep like events quiet."""
    before = now - dt.timedelta(days=settings.ALERT_RETENTION_DAYS)
    expired = Alert.objects.filter(status__in=CLOSED, closed_at__lt=before, until_spread=False)
    expired = expired.filter(Q(quiet_until=None) | Q(quiet_until__lt=now))
    total = 0
    while ids := list(expired.order_by("pk").values_list("pk", flat=True)[:CHUNK]):
        expired.filter(pk__in=ids).delete()  # but for what was reopened since they were read
        total += len(ids)
    return total


def _drop_unused(table: str, kept: str, now: dt.datetime) -> int:
    """Rows that no event can refer to any more: a day is left for processes that met them around midnight."""
    before = oldest_day(now.date()) - dt.timedelta(days=1)
    statement = f"""
        DELETE FROM {table} WHERE id IN (
            SELECT id FROM {table} AS unused WHERE last_seen_on < %s {kept} ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
        ) AND last_seen_on < %s
    """  # noqa: S608 - made of the constants above
    total = 0
    while count := _execute(statement, [before, CHUNK, before]):
        total += count
    return total


def _drop_empty_incidents(now: dt.datetime) -> int:
    statement = """
        DELETE FROM alerts_incident AS incident WHERE last_seen < %s
        AND NOT EXISTS (SELECT FROM alerts_alert WHERE incident_id = incident.id)
    """
    return _execute(statement, [now - dt.timedelta(days=1)])


def _execute(statement: str, values: list[object]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)  # type: ignore[arg-type]
        return int(cursor.rowcount)
