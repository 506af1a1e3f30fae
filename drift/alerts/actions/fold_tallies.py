"""Folding what the triggers noted into the tallies (migrations/tallies.sql), so that little is left to add up."""

from __future__ import annotations

from typing import Final

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

CHUNK: Final = 20_000
LOCK: Final = "fold alert tallies"
FOLD: Final = """
WITH gone AS (
    DELETE FROM alerts_alertdelta WHERE id IN (SELECT id FROM alerts_alertdelta ORDER BY id LIMIT %s) RETURNING *
), worked AS (
    -- What a rule suppressed was no person's work.
    SELECT *, verdict <> 'suppressed' AS by_person FROM gone
), hours AS (
    INSERT INTO alerts_hourtally AS had
    SELECT date_trunc('hour', first_seen, 'UTC'), provider, status, sum(count),
           coalesce(sum(count) FILTER (WHERE acknowledged_at IS NOT NULL AND by_person), 0),
           coalesce(sum(extract(epoch FROM acknowledged_at - created_at) * count) FILTER (WHERE by_person), 0),
           coalesce(sum(count) FILTER (WHERE closed_at IS NOT NULL AND by_person), 0),
           coalesce(sum(extract(epoch FROM closed_at - created_at) * count) FILTER (WHERE by_person), 0)
    FROM worked GROUP BY 1, 2, 3
    ON CONFLICT (hour, provider, status) DO UPDATE SET
        count = had.count + excluded.count,
        acknowledged = had.acknowledged + excluded.acknowledged,
        acknowledged_seconds = had.acknowledged_seconds + excluded.acknowledged_seconds,
        closed = had.closed + excluded.closed,
        closed_seconds = had.closed_seconds + excluded.closed_seconds
), periods AS (
    INSERT INTO alerts_periodtally AS had
    SELECT dimension, period, start, key, sum(count)
    FROM gone, alerts_dimensions(rule_id, image_name, namespace, binary_id), alerts_periods(first_seen)
    GROUP BY 1, 2, 3, 4
    ON CONFLICT (dimension, period, start, key) DO UPDATE SET count = had.count + excluded.count
), totals AS (
    INSERT INTO alerts_totaltally AS had
    SELECT dimension, key, status, sum(count), min(first_seen), max(first_seen)
    FROM gone, alerts_dimensions(rule_id, image_name, namespace, binary_id) GROUP BY 1, 2, 3
    ON CONFLICT (dimension, key, status) DO UPDATE SET
        count = had.count + excluded.count,
        first_seen = least(had.first_seen, excluded.first_seen),
        last_seen = greatest(had.last_seen, excluded.last_seen)
), groups AS (
    INSERT INTO alerts_grouptally AS had
    SELECT dimension, key, cluster_id, status, sum(count), min(first_seen), max(first_seen)
    FROM gone, alerts_dimensions(rule_id, image_name, namespace, binary_id) GROUP BY 1, 2, 3, 4
    ON CONFLICT (dimension, key, cluster_id, status) DO UPDATE SET
        count = had.count + excluded.count,
        first_seen = least(had.first_seen, excluded.first_seen),
        last_seen = greatest(had.last_seen, excluded.last_seen)
)
SELECT count(*) FROM gone
"""
TALLIES: Final = ("alerts_hourtally", "alerts_periodtally", "alerts_totaltally", "alerts_grouptally")


def fold() -> int:
    """Add up all that was noted, a chunk a transaction; returns how many notes. Beside another one it does nothing."""
    total = 0
    while count := _fold_chunk():
        total += count
    return total


def _fold_chunk() -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [LOCK])
        if cursor.fetchone() != (True,):
            return 0
        cursor.execute(FOLD, [CHUNK])
        return int(cursor.fetchone()[0])


def drop_empty() -> int:
    """Delete rows of the tallies that count nothing any more; returns how many."""
    with transaction.atomic(), connection.cursor() as cursor:
        return sum(_drop_empty(cursor, table) for table in TALLIES)


def _drop_empty(cursor: CursorWrapper, table: str) -> int:
    cursor.execute(f"DELETE FROM {table} WHERE count = 0")  # noqa: S608 - of the constants above
    return int(cursor.rowcount)
