"""The counts of one window, and their journal on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from sensor.delivery import frames
from sensor.delivery.aggregation_journal import NO_EVENT, CountDelta, JournalBatch, JournalHeader
from sensor.delivery.aggregation_key import aggregation_key, drop_names, key_digest
from sensor.names.event_ids import summary_event_id
from sensor.operations.log_filter import RateLimitedLogFilter
from sensor.wire import Event, json_bytes

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from pathlib import Path

COMPACT_BYTES: Final = 4 * 1024 * 1024
"""Size at which a journal is first rewritten, shorter; after that whenever it has doubled."""
MAX_VARIANTS: Final = 50
"""Different argv of one binary in one workload and window; the rest is counted with argv dropped."""
MAX_CONTAINER_KEYS: Final = 1_000
"""Keys of one container in a window; further new ones are counted without their file's name."""

log = logging.getLogger(__name__)
log.addFilter(RateLimitedLogFilter())


@dataclasses.dataclass
class Aggregate:
    """One key's count in a window."""

    event: bytes
    """JSON of the first exec: what the summary shows."""
    first: dt.datetime
    last: dt.datetime
    count: int = 0
    journaled: int = 0


class AggregationWindow:
    """Counts execs by key and journals the counts; its summaries are the same whenever they are made."""

    def __init__(self, path: Path, header: JournalHeader, compact_bytes: int = COMPACT_BYTES) -> None:
        self.header = header
        self.aggregates: dict[str, Aggregate] = {}
        self.sent = 0
        """Summaries of this window that are spooled."""
        self._path = path
        self._file: frames.FrameFile | None = None
        self._min_compact_bytes = self._compact_at = compact_bytes
        self._touched: dict[str, None] = {}
        self._variants: Counter[str] = Counter()
        self._containers: Counter[str] = Counter()

    def add(self, event: Event) -> None:
        """Count one exec."""
        key = self._key(event)
        aggregate = self.aggregates.get(key)
        if aggregate is None:
            aggregate = Aggregate(msgspec.json.encode(event), event.observed_at, event.last_at)
            self.aggregates[key] = aggregate
        self._count(key, aggregate, event.count, event.observed_at, event.last_at)

    def _count(self, key: str, aggregate: Aggregate, count: int, first: dt.datetime, last: dt.datetime) -> None:
        aggregate.count += count
        aggregate.first, aggregate.last = min(aggregate.first, first), max(aggregate.last, last)
        self._touched[key] = None

    def _key(self, event: Event) -> str:
        """Return the event's key; past a container's limit of keys, drops the event's names first."""
        key = self._key_with_argv(event)
        if key not in self.aggregates:
            if self._containers[event.container.id] >= MAX_CONTAINER_KEYS:
                drop_names(event)
                return key_digest([key_digest(aggregation_key(event)), []])
            self._containers[event.container.id] += 1
        return key

    def _key_with_argv(self, event: Event) -> str:
        """Return the key; past a binary's limit of different argv, drops the event's argv first."""
        binary = key_digest(aggregation_key(event))
        key = key_digest([binary, event.process.argv])
        if key in self.aggregates or event.process.argv == []:
            return key
        if self._variants[binary] == MAX_VARIANTS:
            event.process.argv, event.process.argv_truncated = [], True
            return key_digest([binary, []])
        self._variants[binary] += 1
        return key

    def journal(self, counted: list[uuid.UUID], spooling: list[uuid.UUID]) -> None:
        """Write what was counted since the last call, durably.

        On a full disk the counts stay in memory and are written with the next batch.
        """
        deltas = [self._delta(key) for key in self._touched]
        lines = [msgspec.json.encode(JournalBatch(deltas, counted, spooling))]
        try:
            if self._file is None:
                lines.insert(0, msgspec.json.encode(self.header))
                self._file = frames.FrameFile(self._path)
            # Ids alone need no fsync: lost in a power cut, their events are lost from the ring as well.
            self._file.append(lines, sync=bool(deltas))
        except OSError as error:
            log.warning("Counts stay in memory, their journal could not be written: %s", error.strerror)
            self._discard_empty_file()
            return
        for key in self._touched:
            self.aggregates[key].journaled = self.aggregates[key].count
        self._touched.clear()
        if self._file.size >= self._compact_at:
            self._compact(counted, spooling)

    def _delta(self, key: str) -> CountDelta:
        aggregate = self.aggregates[key]
        event = NO_EVENT if aggregate.journaled else msgspec.Raw(aggregate.event)
        return CountDelta(key, aggregate.count - aggregate.journaled, aggregate.first, aggregate.last, event)

    def _compact(self, counted: list[uuid.UUID], spooling: list[uuid.UUID]) -> None:
        """Rewrite the journal as one batch: while the spool is full its window may stay open for days."""
        deltas = [CountDelta(key, a.count, a.first, a.last, msgspec.Raw(a.event)) for key, a in self.aggregates.items()]
        lines = [msgspec.json.encode(self.header), msgspec.json.encode(JournalBatch(deltas, counted, spooling))]
        try:
            shorter = frames.replacement(self._path, lines)
        except OSError as error:
            log.warning("A journal of counts stays long, a shorter one could not be written: %s", error.strerror)
            shorter = None
        if self._file and shorter:
            self._file.close()
            self._file = shorter
        self._compact_at = max(self._min_compact_bytes, 2 * self._file.size if self._file else 0)

    def _discard_empty_file(self) -> None:
        if self._file and not self._file.size:
            self.drop()
            self._file = None

    def restore(self, batch: JournalBatch) -> int:
        """Add the counts of an earlier process's journal.

        Returns how many execs could not be added because the line with the first of their key was broken. Raises
        DecodeError where an event is not valid by this version's struct.
        """
        lost = 0
        for delta in batch.folds:
            if delta.key not in self.aggregates and bytes(delta.event) != bytes(NO_EVENT):
                json_bytes.decode(delta.event, Event)
                self.aggregates[delta.key] = Aggregate(bytes(delta.event), delta.first, delta.last)
            if aggregate := self.aggregates.get(delta.key):
                self._count(delta.key, aggregate, delta.count, delta.first, delta.last)
            else:
                lost += delta.count
        return lost

    def summaries(self, limit: int | None = None) -> list[Event]:
        """Return one event per key that is not `sent`, oldest key first; always the same ones, ids included."""
        unsent = itertools.islice(self.aggregates.items(), self.sent, None)
        return [self._summary(key, aggregate) for key, aggregate in itertools.islice(unsent, limit)]

    @property
    def next_bytes(self) -> int:
        """The approximate size of the next summary as JSON; 0 where all are sent."""
        unsent = itertools.islice(self.aggregates.values(), self.sent, None)
        return next((len(aggregate.event) for aggregate in unsent), 0)

    def _summary(self, key: str, aggregate: Aggregate) -> Event:
        event = msgspec.json.decode(aggregate.event, type=Event)
        event.event_id = summary_event_id(self.header.boot_id, key, self.header.start_ns, self.header.sequence)
        event.mode, event.count = "summary", aggregate.count
        event.observed_at, event.last_at = aggregate.first, aggregate.last
        return event

    def drop(self) -> None:
        """Delete the journal: all summaries are spooled."""
        if self._file:
            self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
