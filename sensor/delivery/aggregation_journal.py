"""The journal of an aggregation window: JSON lines on disk from which a new process continues the counts."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from typing import Final

import msgspec
from msgspec import Struct

from sensor.wire import json_bytes

NO_EVENT: Final = msgspec.Raw(b"null")


class JournalHeader(Struct, frozen=True):
    """The first line."""

    boot_id: str
    start_ns: int
    sequence: int
    counted: list[uuid.UUID] = []
    """Ids from the journal of an earlier process that still matter, as in JournalBatch."""
    spooling: list[uuid.UUID] = []


class CountDelta(Struct, frozen=True):
    """So many more execs of a key. `event` is the first one, in the first delta of a key; null after that."""

    key: str
    count: int
    first: dt.datetime
    last: dt.datetime
    event: msgspec.Raw


class JournalBatch(Struct, frozen=True):
    """One read of the capture: aggregated events by their counts, the others by their ids."""

    folds: list[CountDelta]
    counted: list[uuid.UUID]
    spooling: list[uuid.UUID]


class _AnyDelta(Struct, frozen=True):
    count: int


class _AnyBatch(Struct, frozen=True):
    """What a batch of any version has in common."""

    folds: list[_AnyDelta] = []


def counted_execs(line: bytes) -> int:
    """Return how many execs a line of a journal counts, as far as it can be read."""
    with contextlib.suppress(msgspec.DecodeError):
        return sum(delta.count for delta in json_bytes.decode(line, _AnyBatch).folds)
    return 0
