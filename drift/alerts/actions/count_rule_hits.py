"""Count what each policy rule decides: a row per batch, folded every minute, deleted when old."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from django.db import connection, transaction
from django.utils import timezone
from psycopg import Cursor

from drift.alerts.domain.enriched_events import EnrichedEvent
from drift.alerts.queries import compiled_policies
from sensor.wire import Event

DAYS_KEPT: Final = 8
"""Days counted separately: the week that pages show, and one to spare. Of earlier days only a rule's last is kept."""
DAYS_REMEMBERED: Final = 366
"""How long the last day of a rule is kept: rules get deleted, and their rows must not stay for ever."""
MAX_VERSIONS: Final = 8
"""Policy versions of one batch whose hits are counted, the latest: a backlog spans a few, and each one is loaded."""
LOCK: Final = "fold rule hits"
RECORD: Final = """
WITH hit AS (
    SELECT * FROM unnest(%s::date[], %s::text[], %s::text[], %s::bigint[], %s::timestamptz[])
        AS hit (day, rule, action, execs, last_at)
), of_cluster AS (
    INSERT INTO alerts_clusterrulehits (cluster_id, day, rule, action, execs, last_at)
    SELECT %s::bigint, day, rule, action, execs, last_at FROM hit
)
INSERT INTO alerts_rulehits (day, rule, action, execs, last_at) SELECT day, rule, action, execs, last_at FROM hit
"""
"""An INSERT rather than an update of one row per rule: every batch would wait for that row. Both tables in one
statement, because every batch has it."""
FOLD: Final = """
WITH gone AS (
    DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} GROUP BY {key} HAVING count(*) > 1) RETURNING *
)
INSERT INTO {table} ({key}, execs, last_at)
SELECT {key}, least(sum(execs), 9223372036854775807)::bigint, max(last_at) FROM gone GROUP BY {key}
"""
DELETE_OLD: Final = """
DELETE FROM {table} AS old WHERE day < %s OR day < %s AND EXISTS (
    SELECT FROM {table} AS newer WHERE newer.rule = old.rule AND {same}
    AND (newer.day, newer.last_at, newer.id) > (old.day, old.last_at, old.id)
)
"""
TABLES: Final = (
    {"table": "alerts_rulehits", "key": "day, rule, action", "same": "true"},
    {
        "table": "alerts_clusterrulehits",
        "key": "cluster_id, day, rule, action",
        "same": "newer.cluster_id = old.cluster_id",
    },
)


def record_hits(cursor: Cursor[tuple[Any, ...]], cluster_id: int, stored: Iterable[EnrichedEvent]) -> None:
    """Record what these events of a cluster add to their rules' hits, in the transaction that stores them.

    Events that no rule decided count for none. A rule counts only if the version that the sensor names has it: sensors
    name rules themselves, and an invented id per event would fill the table.
    """
    events_of: dict[tuple[dt.date, str | None, str, int | None], list[Event]] = defaultdict(list)
    for each in stored:
        event, decision = each.event, each.decision
        events_of[event.observed_at.date(), decision.rule, decision.action, decision.policy_number].append(event)
    versions = sorted({number for _, rule, _, number in events_of if rule is not None and number is not None})
    rules = {number: compiled_policies.version_rules(number) for number in versions[-MAX_VERSIONS:]}
    hits: dict[tuple[dt.date, str, str], tuple[int, dt.datetime]] = {}
    for (day, rule, action, number), events in events_of.items():
        if rule is None or number is None or rule not in rules.get(number, ()):
            continue
        execs, last_at = sum(each.count for each in events), max(each.last_at for each in events)
        known, before = hits.get((day, rule, action), (0, last_at))
        hits[day, rule, action] = (known + execs, max(before, last_at))
    if hits:
        keys, values = zip(*hits, strict=True), zip(*hits.values(), strict=True)
        columns = [list(column) for column in (*keys, *values)]
        cursor.execute(RECORD, [*columns, cluster_id], prepare=True)


def fold_hits() -> None:
    """Add up the rows of each day, rule and action, in all and by cluster. Does nothing while another process folds."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [LOCK])
        if cursor.fetchone() == (True,):
            for each in TABLES:
                cursor.execute(FOLD.format(**each))


def delete_old_hits(now: dt.datetime | None = None) -> int:
    """Delete days before DAYS_KEPT, except each rule's last within DAYS_REMEMBERED. Returns the number of rows."""
    today = (now or timezone.now()).date()
    first_days = [today - dt.timedelta(days=days - 1) for days in (DAYS_REMEMBERED, DAYS_KEPT)]
    deleted = 0
    with connection.cursor() as cursor:
        for each in TABLES:
            cursor.execute(DELETE_OLD.format(**each), first_days)
            deleted += int(cursor.rowcount)
    return deleted
