"""Storing events: COPY into a temporary table, then one merge that skips what is there already.

COPY knows no ON CONFLICT, and a replay must count nothing twice.
"""

from __future__ import annotations

import uuid
from typing import Final, LiteralString

from psycopg import Cursor

from drift.alerts.seen import Seen, detail

COLUMNS: Final[dict[LiteralString, LiteralString]] = {
    "event_id": "uuid",
    "mode": "text",
    "count": "int8",
    "observed_at": "timestamptz",
    "last_at": "timestamptz",
    "workload_id": "int8",
    "binary_id": "int8",
    "fingerprint": "uuid",
    "parent_name": "text",
    "pod_name": "text",
    "container_id": "text",
    "action": "text",
    "rule": "text",
    "reason": "text",
    "policy_number": "int4",
    "outcome": "text",
    "outcome_reason": "text",
    "detail": "text",
}
NAMES: Final[LiteralString] = ", ".join(COLUMNS)
CREATE: Final[LiteralString] = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS alerts_staged ("
    + ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    + ") ON COMMIT DELETE ROWS"
)
COPY: Final[LiteralString] = f"COPY alerts_staged ({NAMES}) FROM STDIN (FORMAT BINARY)"
MERGE: Final[LiteralString] = f"""
WITH staged AS (
    DELETE FROM alerts_staged RETURNING {NAMES}
), stored AS (
    INSERT INTO alerts_driftevent (observed_on, sensor_id, {NAMES})
    SELECT (observed_at AT TIME ZONE 'UTC')::date, %s, {NAMES.replace("detail", "detail::jsonb")}
    FROM staged
    ON CONFLICT DO NOTHING
    RETURNING event_id, action
)
SELECT count(*), array_agg(event_id) FILTER (WHERE action <> 'ignore') FROM stored
"""  # noqa: S608 - made of the constants above


def store(cursor: Cursor, sensor_id: uuid.UUID, events: list[Seen]) -> tuple[int, set[uuid.UUID]]:
    """Store the events of one sensor that are not stored yet, in the caller's transaction.

    Returns how many were new, and the ids of the new ones that alert. Raises psycopg's UndefinedTable
    where the connection has no temporary table yet (`prepare`), CheckViolation where a day has no partition.
    """
    with cursor.copy(COPY) as copy:
        copy.set_types(list(COLUMNS.values()))
        for seen in events:
            copy.write_row(_row(seen))
    cursor.execute(MERGE, [sensor_id], prepare=True, binary=True)
    row = cursor.fetchone()
    count, alerting = row if row else (0, None)
    return count, set(alerting or ())


def _row(seen: Seen) -> tuple[object, ...]:
    event, decision, process = seen.event, seen.decision, seen.event.process
    return (
        event.event_id,
        event.mode,
        event.count,
        event.observed_at,
        event.last_at,
        seen.workload_id,
        seen.binary_id,
        seen.fingerprint,
        process.parent.name if process.parent else "",
        event.container.pod_name or "",
        event.container.id,
        decision.action,
        decision.rule or "",
        decision.reason,
        decision.policy_number,
        event.outcome,
        event.outcome_reason,
        detail(event).decode() if seen.keep_detail else None,
    )
