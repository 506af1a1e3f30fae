"""Store events by COPY: straight into the event table, or through a temporary table where some are stored already.

COPY has no ON CONFLICT, and a resent event must not count twice. But nearly every batch comes once, so it is first
copied as if all of it were new, which costs no more than a bare COPY. A batch that fails on the primary key, and only
on that, is copied into a temporary table and merged from there.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from psycopg import Cursor

from drift.alerts.domain.binary_copy import COLUMNS, copy_stream
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
class PackedEvents:
    """Events of one sensor and their COPY stream, packed before the transaction to keep that short."""

    events: list[EnrichedEvent]
    stream: bytes


Store = Callable[[Cursor[tuple[Any, ...]], PackedEvents], list[EnrichedEvent]]
"""Stores events in the caller's transaction and returns those that were new."""


def pack_events(sensor_id: uuid.UUID, events: list[EnrichedEvent]) -> PackedEvents:
    """Return the events as `copy_new` and `merge` take them."""
    return PackedEvents(events, copy_stream(sensor_id, events))


def copy_new(cursor: Cursor[tuple[Any, ...]], packed: PackedEvents) -> list[EnrichedEvent]:
    """Store events, all of them new, and return them.

    Raises psycopg's UniqueViolation where one is stored already or is twice in the batch, and CheckViolation where a
    day has no partition.
    """
    _copy(cursor, f"COPY alerts_driftevent ({NAMES}) FROM STDIN (FORMAT BINARY)", packed)
    return packed.events


def merge(cursor: Cursor[tuple[Any, ...]], packed: PackedEvents) -> list[EnrichedEvent]:
    """Store the events that are not stored yet, and return these, each once."""
    cursor.execute(CREATE)
    _copy(cursor, f"COPY alerts_staged ({NAMES}) FROM STDIN (FORMAT BINARY)", packed)
    cursor.execute(MERGE, binary=True)  # event ids come back as UUIDs, not as text to parse
    row = cursor.fetchone()
    new = set(row[0] or ()) if row else set()
    first: dict[uuid.UUID, EnrichedEvent] = {}
    for each in packed.events:
        if each.event.event_id in new:
            first.setdefault(each.event.event_id, each)
    return list(first.values())


def _copy(cursor: Cursor[tuple[Any, ...]], statement: LiteralString, packed: PackedEvents) -> None:
    with cursor.copy(statement) as copy:
        copy.write(packed.stream)
