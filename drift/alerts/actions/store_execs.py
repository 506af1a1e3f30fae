"""Store what containers executed around their drift, as far as their sensor may."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from drift.alerts.actions.ingest import MAX_AHEAD
from drift.alerts.errors import EventRejected, IngestUnavailable
from drift.alerts.models import ExecBudget, StoredExec
from drift.alerts.queries.event_retention import oldest_day
from drift.fleet.models import Sensor
from sensor import wire

EXECS_PER_HOUR: Final = 5_000
"""Of a sensor. A stolen one fills the database by some 15 MiB an hour at most; the sensor itself stays below."""
WINDOW: Final = dt.timedelta(hours=1)
CHUNK: Final = 1_000
IN_COLUMNS: Final = frozenset({"exec_id", "at"})
DELETE: Final = """
DELETE FROM alerts_storedexec WHERE (sensor_id, exec_id) IN (
    SELECT sensor_id, exec_id FROM alerts_storedexec WHERE observed_at < %s
    ORDER BY observed_at LIMIT %s FOR UPDATE SKIP LOCKED
)
"""
DELETE_COMMAND_LINES: Final = """
UPDATE alerts_storedexec SET detail = detail || '{"argv": [], "argv_truncated": true}'
WHERE (sensor_id, exec_id) IN (
    SELECT sensor_id, exec_id FROM alerts_storedexec WHERE observed_at < %s AND detail -> 'argv' <> '[]'
    ORDER BY observed_at LIMIT %s FOR UPDATE SKIP LOCKED
)
"""


def store_execs(sensor: Sensor, raws: Sequence[bytes | msgspec.Raw]) -> wire.ExecReportsResponse:
    """Store the execs of a sensor's reports that are not stored yet, up to its budget.

    Dropped are those past the budget, from outside the time in which events are kept, and all where the environment has
    execution history off. Raises EventRejected for the first report that is not valid (then none is stored), and
    IngestUnavailable where the database is down or too busy.
    """
    now = timezone.now()
    oldest = dt.datetime.combine(oldest_day(now.date()), dt.time(), dt.UTC)
    rows: dict[Any, StoredExec] = {}
    total = outside = 0
    for report in _decoded(raws):
        total += len(report.execs)
        for index, each in enumerate(report.execs):
            if oldest <= each.at <= now + MAX_AHEAD:
                rows.setdefault(each.exec_id, _row(sensor, report, each, 0 if index else report.missed))
            else:
                outside += 1
    if not sensor.cluster.environment.exec_history:
        return wire.ExecReportsResponse(0, total)
    try:
        dropped = _store(sensor, list(rows.values()), now) if rows else 0
    except DatabaseError as error:
        raise IngestUnavailable from error
    return wire.ExecReportsResponse(total - dropped - outside, dropped + outside)


def _decoded(raws: Sequence[bytes | msgspec.Raw]) -> list[wire.ExecReport]:
    reports = []
    for index, raw in enumerate(raws):
        try:
            report = wire.decode_exec_report(raw)
            for each in report.execs:
                each.at = each.at.astimezone(dt.UTC)
        except wire.WireError as error:
            raise EventRejected(error.code, str(error), index, error.field) from None
        except OverflowError:
            raise EventRejected("invalid", "The time is outside the calendar in UTC.", index, "execs") from None
        reports.append(report)
    return reports


def _row(sensor: Sensor, report: wire.ExecReport, each: wire.ContainerExec, missed: int) -> StoredExec:
    detail = {name: value for name, value in msgspec.to_builtins(each).items() if name not in IN_COLUMNS}
    return StoredExec(
        sensor=sensor,
        exec_id=each.exec_id,
        cluster_id=sensor.cluster_id,
        namespace=report.namespace or "",
        container_id=report.container_id,
        observed_at=each.at,
        detail=detail,
        missed=missed,
    )


@transaction.atomic(durable=True)
def _store(sensor: Sensor, rows: list[StoredExec], now: dt.datetime) -> int:
    """Store the rows that are new, up to the sensor's budget; return how many exceed it."""
    ExecBudget.objects.bulk_create([ExecBudget(sensor=sensor)], ignore_conflicts=True)
    # Until the end of the transaction: batches of one sensor follow one another.
    budget = ExecBudget.objects.select_for_update().get(sensor=sensor)
    if now - budget.window_at >= WINDOW:
        budget.stored, budget.window_at = 0, now
    ids = [row.exec_id for row in rows]
    stored = set(StoredExec.objects.filter(sensor=sensor, exec_id__in=ids).values_list("exec_id", flat=True))
    new = [row for row in rows if row.exec_id not in stored]
    allowed = new[: max(0, EXECS_PER_HOUR - budget.stored)]
    StoredExec.objects.bulk_create(allowed)
    budget.stored += len(allowed)
    if len(allowed) < len(new):
        budget.dropped_at = now
    budget.save()
    return len(new) - len(allowed)


def delete_expired_execs(now: dt.datetime | None = None) -> int:
    """Delete execs that are older than events are kept, and command lines past their retention; return how many."""
    now = now or timezone.now()
    before = dt.datetime.combine(oldest_day(now.date()), dt.time(), dt.UTC)
    total = _repeat(DELETE, before)
    if settings.ARGV_RETENTION_DAYS:
        _repeat(DELETE_COMMAND_LINES, now - dt.timedelta(days=settings.ARGV_RETENTION_DAYS))
    return total


def _repeat(statement: str, before: dt.datetime) -> int:
    total = 0
    while count := _execute(statement, [before, CHUNK]):
        total += count
    return total


def _execute(statement: str, values: list[object]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)  # type: ignore[arg-type]
        return int(cursor.rowcount)
