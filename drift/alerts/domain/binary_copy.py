"""Events as rows of PostgreSQL's binary COPY format (PostgreSQL documentation: COPY, Binary Format).

Each field is its length in four bytes and its value: a timestamp is microseconds and a date days since 2000, a uuid
16 bytes, jsonb the version 1 and its JSON; a length of -1 is NULL. Columns of fixed size come first, so that one call
packs all of them; strings that many events share are packed once and cached. That takes a third of the time of
packing value by value.
"""

from __future__ import annotations

import datetime as dt
import struct
import uuid
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, LiteralString

from drift.alerts.domain.enriched_events import EnrichedEvent, event_detail

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"
NULL: Final = b"\xff\xff\xff\xff"
COLUMNS: Final[tuple[LiteralString, ...]] = (
    "observed_on", "sensor_id", "event_id", "count", "observed_at", "last_at", "workload_id", "binary_id",
    "provenance_id", "fingerprint",
    "mode", "action", "rule", "reason", "outcome", "outcome_reason", "policy_number",
    "parent_name", "pod_name", "container_id",
    "detail",
)  # fmt: skip
"""In the order in which `_row` packs them: fixed size, then the decision, the pod, and the detail."""
FIXED: Final = struct.Struct(">h ii i16s i16s iq iq iq iq iq iq i16s")
LENGTH: Final = struct.Struct(">i")
DAY_ZERO: Final = dt.date(2000, 1, 1).toordinal()
EPOCH: Final = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


def copy_stream(sensor_id: uuid.UUID, events: Iterable[EnrichedEvent]) -> bytes:
    """Return the events of one sensor as one whole COPY stream of COLUMNS."""
    return b"".join(_stream_parts(sensor_id, events))


def _stream_parts(sensor_id: uuid.UUID, events: Iterable[EnrichedEvent]) -> Iterator[bytes]:
    yield HEADER
    sensor = sensor_id.bytes
    for each in events:
        yield _row(sensor, each)
    yield TRAILER


def _row(sensor: bytes, enriched: EnrichedEvent) -> bytes:
    event, decision, container = enriched.event, enriched.decision, enriched.event.container
    parent = event.process.parent
    observed_at = event.observed_at  # in UTC, so its date is that of the partition
    start = _microseconds(observed_at)
    fixed = FIXED.pack(
        len(COLUMNS),
        4, observed_at.toordinal() - DAY_ZERO,
        16, sensor,
        16, event.event_id.bytes,
        8, event.count,
        8, start,
        8, start if event.last_at == observed_at else _microseconds(event.last_at),
        8, enriched.workload_id,
        8, enriched.binary_id,
        8, enriched.provenance_id,
        16, enriched.counter.packed,
    )  # fmt: skip
    decided = _decision_fields(
        event.mode, decision.action, decision.rule or "", decision.reason, event.outcome, event.outcome_reason,
        decision.policy_number,
    )  # fmt: skip
    pod = _string_fields(parent.name if parent else "", container.pod_name or "", container.id)
    return fixed + decided + pod + (_field(b"\x01" + event_detail(event)) if enriched.keep_detail else NULL)


@lru_cache(maxsize=16_384)
def _decision_fields(*values: str | int | None) -> bytes:
    """Strings, and last the number of the version."""
    *strings, number = values
    return _string_fields(*map(str, strings)) + (NULL if number is None else _field(LENGTH.pack(number)))


@lru_cache(maxsize=16_384)
def _string_fields(*strings: str) -> bytes:
    return b"".join(_field(string.encode()) for string in strings)


def _field(value: bytes) -> bytes:
    return LENGTH.pack(len(value)) + value


def _microseconds(moment: dt.datetime) -> int:
    # In integers: a float of seconds cannot represent every microsecond exactly, and a retry must pack the same.
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
