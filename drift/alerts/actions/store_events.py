"""Storing events: COPY straight into the table; where one of them is there already, by way of a temporary table.

COPY knows no ON CONFLICT, and a replay must count nothing twice. But nearly every batch comes once: so
it is first copied as if it were new, which costs what a bare COPY costs. A batch that fails on the
primary key, and only that, is copied into a temporary table and merged from there.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg import Cursor

from drift.alerts.domain.binary_copy import COLUMNS, rows
from drift.alerts.domain.enriched_events import EnrichedEvent

NAMES: Final[LiteralString] = ", ".join(COLUMNS)
CREATE: Final[LiteralString] = f"""
CREATE TEMPORARY TABLE IF NOT EXISTS alerts_staged ON COMMIT DELETE ROWS AS
SELECT {NAMES} FROM alerts_driftevent WITH NO DATA
"""  # noqa: S608 - made of the constants above
MERGE: Final[LiteralString] = f"""
WITH staged AS (
    DELETE FROM alerts_staged RETURNING {NAMES}
), stored AS (
    INSERT INTO alerts_driftevent ({NAMES}) SELECT {NAMES} FROM staged ON CONFLICT DO NOTHING RETURNING event_id
)
SELECT array_agg(event_id) FROM stored
"""  # noqa: S608 - made of the constants above


@dataclass(frozen=True)
class Packed:
    """Events of one sensor, and the COPY stream that they make: made before the transaction, which is then shorter."""

    events: list[EnrichedEvent]
    stream: bytes


Store = Callable[[Cursor[tuple[Any, ...]], Packed], list[EnrichedEvent]]


def pack(sensor_id: uuid.UUID, events: list[EnrichedEvent]) -> Packed:
    """What `copy_new` and `merge` take."""
    return Packed(events, b"".join(rows(sensor_id, events)))


def copy_new(cursor: Cursor[tuple[Any, ...]], packed: Packed) -> list[EnrichedEvent]:
    """Store events, all of them new, in the caller's transaction; gives them back.

    Raises psycopg's UniqueViolation where one is stored already (or twice in the batch), and
    CheckViolation where a day has no partition.
    """
    _copy(cursor, f"COPY alerts_driftevent ({NAMES}) FROM STDIN (FORMAT BINARY)", packed)
    return packed.events


def merge(cursor: Cursor[tuple[Any, ...]], packed: Packed) -> list[EnrichedEvent]:
    """Store those events that are not stored yet; gives these back, each once."""
    cursor.execute(CREATE)
    _copy(cursor, f"COPY alerts_staged ({NAMES}) FROM STDIN (FORMAT BINARY)", packed)
    cursor.execute(MERGE, binary=True)
    row = cursor.fetchone()
    new = set(row[0] or ()) if row else set()
    first: dict[uuid.UUID, EnrichedEvent] = {}
    for seen in packed.events:
        if seen.event.event_id in new:
            first.setdefault(seen.event.event_id, seen)
    return list(first.values())


def _copy(cursor: Cursor[tuple[Any, ...]], statement: LiteralString, packed: Packed) -> None:
    with cursor.copy(statement) as copy:
        copy.write(packed.stream)
