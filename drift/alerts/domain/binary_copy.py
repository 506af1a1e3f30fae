"""Rows of events in PostgreSQL's binary COPY form (PostgreSQL documentation: COPY, Binary Format).

Each field is its length in four bytes and its value: a timestamp is microseconds and a date days since
2000, a uuid 16 bytes, jsonb the version 1 and its text; length -1 is NULL. What has a fixed size goes
first, so that one call packs all of it; what few events do not share is packed once and kept. That
takes a third of the time of packing value by value.
"""

from __future__ import annotations

import datetime as dt
import struct
import uuid
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, LiteralString

from drift.alerts.domain.enriched_events import EnrichedEvent, detail

HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END: Final = b"\xff\xff"
NULL: Final = b"\xff\xff\xff\xff"
COLUMNS: Final[tuple[LiteralString, ...]] = (
    "observed_on", "sensor_id", "event_id", "count", "observed_at", "last_at", "workload_id", "binary_id",
    "fingerprint",
    "mode", "action", "rule", "reason", "outcome", "outcome_reason", "policy_number",
    "parent_name", "pod_name", "container_id",
    "detail",
)  # fmt: skip
"""In the order in which `rows` packs them: of fixed size, of the decision, of the place, and the detail."""
FIXED: Final = struct.Struct(">h ii i16s i16s iq iq iq iq iq i16s")
LENGTH: Final = struct.Struct(">i")
DAY_ZERO: Final = dt.date(2000, 1, 1).toordinal()
EPOCH: Final = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


def rows(sensor_id: uuid.UUID, events: Iterable[EnrichedEvent]) -> Iterator[bytes]:
    """The events of one sensor as one whole COPY stream."""
    yield HEAD
    sensor = sensor_id.bytes
    for seen in events:
        yield _row(sensor, seen)
    yield END


def _row(sensor: bytes, seen: EnrichedEvent) -> bytes:
    """Its `observed_at` is in UTC, so its date is the partition's."""
    event, decision, parent = seen.event, seen.decision, seen.event.process.parent
    observed_at = event.observed_at
    since = _microseconds(observed_at)
    fixed = FIXED.pack(
        len(COLUMNS),
        4, observed_at.toordinal() - DAY_ZERO,
        16, sensor,
        16, event.event_id.bytes,
        8, event.count,
        8, since,
        8, since if event.last_at == observed_at else _microseconds(event.last_at),
        8, seen.workload_id,
        8, seen.binary_id,
        16, seen.series.packed,
    )  # fmt: skip
    decided = _decided(
        event.mode, decision.action, decision.rule or "", decision.reason, event.outcome, event.outcome_reason,
        decision.policy_number,
    )  # fmt: skip
    container = event.container
    where = _texts(parent.name if parent else "", container.pod_name or "", container.id)
    return fixed + decided + where + (_field(b"\x01" + detail(event)) if seen.keep_detail else NULL)


@lru_cache(maxsize=16_384)
def _decided(*facts: str | int | None) -> bytes:
    """Texts, and last the number of the version."""
    *texts, number = facts
    return _texts(*map(str, texts)) + (NULL if number is None else _field(LENGTH.pack(number)))


@lru_cache(maxsize=16_384)
def _texts(*texts: str) -> bytes:
    return b"".join(_field(text.encode()) for text in texts)


def _field(value: bytes) -> bytes:
    return LENGTH.pack(len(value)) + value


def _microseconds(moment: dt.datetime) -> int:
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
