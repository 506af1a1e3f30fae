"""Add the changes that triggers record (migrations/tallies.sql) to the tallies, so that pages add up few rows."""

from __future__ import annotations

from typing import Final

from django.db import connection, transaction

CHUNK: Final = 20_000
"""Changes added in one transaction: a long backlog must not hold its locks for minutes."""
LOCK: Final = "fold alert tallies"
FOLD: Final = """
WITH gone AS (
    DELETE FROM alerts_alertdelta WHERE id IN (SELECT id FROM alerts_alertdelta ORDER BY id LIMIT %s) RETURNING *
), worked AS (
    -- Times to acknowledge and to close are people's: alerts that a rule suppressed are left out.
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


def fold_tallies() -> int:
    """Add up all recorded changes, a chunk per transaction; return how many. Does nothing beside another fold."""
    total = 0
    while count := _fold_chunk():
        total += count
    return total


def _fold_chunk() -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        # The lock also keeps two folds from updating the same tally rows in different orders, and deadlocking.
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [LOCK])
        if cursor.fetchone() != (True,):
            return 0
        cursor.execute(FOLD, [CHUNK])
        return int(cursor.fetchone()[0])


def delete_empty_tallies() -> int:
    """Delete tally rows whose count is zero; return how many."""
    total = 0
    with transaction.atomic(), connection.cursor() as cursor:
        for table in TALLIES:
            cursor.execute(f"DELETE FROM {table} WHERE count = 0")  # noqa: S608 - made of the constants above
            total += int(cursor.rowcount)
    return total
