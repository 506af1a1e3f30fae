"""Delete expired rows: closed alerts, and interned rows that nothing refers to.

Each step may run twice, and deletes a chunk per transaction, so that its locks are short.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from drift.alerts.models import CLOSED, Alert
from drift.alerts.queries.event_retention import oldest_day

CHUNK: Final = 1_000
WHOLE_RUN_HOUR: Final = 3
"""The hour (UTC) in which command lines of all alerts are looked at."""
DELETE_COMMAND_LINES: Final = """
UPDATE alerts_alertdetail SET event = jsonb_set(event, '{process}',
    (event -> 'process') || '{"argv": [], "argv_truncated": true}'),
    search = split_part(search, E'\\n$ ', 1)
WHERE alert_id IN (
    SELECT alert.id FROM alerts_alert AS alert JOIN alerts_alertdetail AS detail ON detail.alert_id = alert.id
    WHERE first_seen >= %s AND first_seen < %s AND event #> '{process,argv}' NOT IN ('[]', 'null') LIMIT %s
)
"""
"""The command line ends the searched string (`domain.search_text`). What a file name with the same mark loses as well
can still be found by its beginning."""
DELETE_ROUTED: Final = """
DELETE FROM alerts_routedalert AS routed WHERE NOT EXISTS (SELECT FROM alerts_alert WHERE id = routed.alert_id)
"""
"""No constraint deletes what says of which alerts routes were notified."""
INTERNED: Final = {
    "alerts_sighting": "",
    "alerts_binary": "AND NOT EXISTS (SELECT FROM alerts_alert WHERE binary_id = unused.id)",
    "alerts_provenance": "",
    "alerts_workload": "AND NOT EXISTS (SELECT FROM alerts_alert WHERE workload_id = unused.id)",
}
"""Interned tables, those that refer to others first, each with the condition under which an old row is unused."""


def delete_expired(now: dt.datetime | None = None) -> dict[str, int]:
    """Delete the rows that are past their retention. Returns the number of rows of each kind."""
    now = now or timezone.now()
    deleted = {"alerts": _delete_closed_alerts(now), "command lines": _delete_command_lines(now)}
    for table, unused in INTERNED.items():
        deleted[table] = _delete_unused(table, unused, now)
    deleted["incidents"] = _delete_empty_incidents(now)
    deleted["habits"] = _delete_habits(now)
    deleted["routed alerts"] = _execute(DELETE_ROUTED, [])
    return deleted


def _delete_closed_alerts(now: dt.datetime) -> int:
    """Delete alerts closed more than ALERT_RETENTION_DAYS ago, except while their snooze lasts: it would end too."""
    before = now - dt.timedelta(days=settings.ALERT_RETENTION_DAYS)
    expired = Alert.objects.filter(status__in=CLOSED, closed_at__lt=before, until_spread=False)
    expired = expired.filter(Q(quiet_until=None) | Q(quiet_until__lt=now))
    total = 0
    while ids := list(expired.order_by("pk").values_list("pk", flat=True)[:CHUNK]):
        # Filtered again, because an alert may have been reopened since its id was read.
        expired.filter(pk__in=ids).delete()
        total += len(ids)
    return total


def _delete_command_lines(now: dt.datetime) -> int:
    """Delete the command lines of alerts that opened more than ARGV_RETENTION_DAYS ago; the path stays."""
    if not settings.ARGV_RETENTION_DAYS:
        return 0
    before = now - dt.timedelta(days=settings.ARGV_RETENTION_DAYS)
    # Once a day all alerts, for a retention that was shortened; otherwise those that have just passed it.
    since = dt.datetime.min.replace(tzinfo=dt.UTC) if now.hour == WHOLE_RUN_HOUR else before - dt.timedelta(days=2)
    total = 0
    while count := _execute(DELETE_COMMAND_LINES, [since, before, CHUNK]):
        total += count
    return total


def _delete_unused(table: str, unused: str, now: dt.datetime) -> int:
    # A day more than events are kept: a process that met the row just before midnight still has its id cached. A row
    # that is locked is being touched, so it is skipped; one that was touched since fails the second comparison.
    before = oldest_day(now.date()) - dt.timedelta(days=1)
    statement = f"""
        DELETE FROM {table} WHERE id IN (
            SELECT id FROM {table} AS unused WHERE last_seen_on < %s {unused}
            ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
        ) AND last_seen_on < %s
    """  # noqa: S608 - made of the constants above
    total = 0
    while count := _execute(statement, [before, CHUNK, before]):
        total += count
    return total


def _delete_empty_incidents(now: dt.datetime) -> int:
    statement = """
        DELETE FROM alerts_incident AS incident WHERE last_seen < %s
        AND NOT EXISTS (SELECT FROM alerts_alert WHERE incident_id = incident.id)
    """
    return _execute(statement, [now - dt.timedelta(days=1)])


def _delete_habits(now: dt.datetime) -> int:
    """Delete the days of ways that are as old as the alerts that are deleted."""
    statement = "DELETE FROM alerts_habitday WHERE day < %s"
    return _execute(statement, [now.date() - dt.timedelta(days=settings.ALERT_RETENTION_DAYS)])


def _execute(statement: str, values: list[object]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)  # type: ignore[arg-type]
        return int(cursor.rowcount)
