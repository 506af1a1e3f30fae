"""Folding: many like execs become one summary with a count.

Ignored drift, and repeats of an alert past their limit, are counted by fold key in windows of a
minute. Σ count is exact, also when the sensor is killed: every batch that was read is journaled here,
with the ids of its events, before the capture lets go of it. A new process

- counts on from the journal, and sends its summaries under the same ids as the old one would have;
- skips events that the journal says are counted, should the capture give them once more;
- never folds an event that the old process may have spooled: it is sent again, and the portal knows its id.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import itertools
import logging
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from sensor.delivery import frames
from sensor.operations.log_filter import RateLimitedLogFilter
from sensor.wire import Event, Process, summary_event_id

WINDOW_SECONDS: Final = 60.0
MAX_KEYS: Final = 5_000
"""Fold keys of a window; at that many it ends early."""
COMPACT_BYTES: Final = 4 * 1024 * 1024
"""Size at which a journal is first written anew, shorter; then whenever it has doubled."""
MAX_VARIANTS: Final = 50
"""Different argv of one binary in one workload and window; further ones are counted with argv dropped."""
MAX_CONTAINER_KEYS: Final = 1_000
"""Fold keys of one container in a window; what comes further under new ones is counted without its file's name."""

log = logging.getLogger(__name__)
log.addFilter(RateLimitedLogFilter())


class JournalHeader(Struct, frozen=True):
    """First line of a journal."""

    boot_id: str
    start_ns: int
    sequence: int
    counted: list[uuid.UUID] = []
    """Ids carried over from the journal before this process, as in Batch."""
    spooling: list[uuid.UUID] = []


_NO_EVENT: Final = msgspec.Raw(b"null")


class CountDelta(Struct, frozen=True):
    """So many more of a key. `event` is there the first time in a journal, else null."""

    key: str
    count: int
    first: dt.datetime
    last: dt.datetime
    event: msgspec.Raw


class JournalBatch(Struct, frozen=True):
    """What one read of the capture brought: folded events by their counts, the others by their ids."""

    folds: list[CountDelta]
    counted: list[uuid.UUID]
    spooling: list[uuid.UUID]


class _Count(Struct, frozen=True):
    count: int


class _Counts(Struct, frozen=True):
    """The least of a Batch, which any version's has."""

    folds: list[_Count] = []


@dataclasses.dataclass
class Aggregate:
    """One fold key's count in a window."""

    event: bytes
    """JSON of the first exec: what the summary shows."""
    first: dt.datetime
    last: dt.datetime
    count: int = 0
    journaled: int = 0


class AggregationWindow:
    """The counts of one window and their journal on disk."""

    def __init__(self, path: Path, header: JournalHeader, compact_bytes: int = COMPACT_BYTES) -> None:
        self.header = header
        self.entries: dict[str, Aggregate] = {}
        self.sent = 0
        """Summaries of this window that are spooled."""
        self._path = path
        self._file: frames.FrameFile | None = None
        self._least = self._compact_at = compact_bytes
        self._touched: set[str] = set()
        self._variants: Counter[str] = Counter()
        self._containers: Counter[str] = Counter()

    def add(self, event: Event) -> None:
        """Count one exec."""
        key = self._key(event)
        entry = self.entries.get(key)
        if entry is None:
            entry = Aggregate(msgspec.json.encode(event), event.observed_at, event.last_at)
            self.entries[key] = entry
        self._count(key, entry, event.count, event.observed_at, event.last_at)

    def _count(self, key: str, entry: Aggregate, count: int, first: dt.datetime, last: dt.datetime) -> None:
        entry.count += count
        entry.first, entry.last = min(entry.first, first), max(entry.last, last)
        self._touched.add(key)

    def _key(self, event: Event) -> str:
        """The event's fold key; drops what of the event its container has run too many kinds of."""
        key = self._argv_key(event)
        if key not in self.entries:
            if self._containers[event.container.id] >= MAX_CONTAINER_KEYS:
                _drop_names(event)
                return _digest([_digest(aggregation_key(event)), []])
            self._containers[event.container.id] += 1
        return key

    def _argv_key(self, event: Event) -> str:
        """The key with argv; drops argv where the binary has run with too many kinds of it."""
        binary = _digest(aggregation_key(event))
        key = _digest([binary, event.process.argv])
        if key in self.entries or event.process.argv == []:
            return key
        if self._variants[binary] == MAX_VARIANTS:
            event.process.argv, event.process.argv_truncated = [], True
            return _digest([binary, []])
        self._variants[binary] += 1
        return key

    def journal(self, counted: list[uuid.UUID], spooling: list[uuid.UUID]) -> None:
        """Write down, durably, what was counted since the last time.

        On a full disk the counts stay in memory and are written with the next batch.
        """
        folds = [self._fold(key) for key in sorted(self._touched)]
        lines = [msgspec.json.encode(JournalBatch(folds, counted, spooling))]
        try:
            if self._file is None:
                lines.insert(0, msgspec.json.encode(self.header))
                self._file = frames.FrameFile(self._path)
            self._file.append(lines, sync=bool(folds))
        except OSError as error:
            log.warning("Counts stay in memory, their journal could not be written: %s", error.strerror)
            self._forget_empty_file()
            return
        for key in self._touched:
            self.entries[key].journaled = self.entries[key].count
        self._touched.clear()
        if self._file.size >= self._compact_at:
            self._compact(counted, spooling)

    def _fold(self, key: str) -> CountDelta:
        entry = self.entries[key]
        event = _NO_EVENT if entry.journaled else msgspec.Raw(entry.event)
        return CountDelta(key, entry.count - entry.journaled, entry.first, entry.last, event)

    def _compact(self, counted: list[uuid.UUID], spooling: list[uuid.UUID]) -> None:
        """Write the journal anew as one batch: as long as a spool is full, its window may stay open for days."""
        folds = [CountDelta(key, e.count, e.first, e.last, msgspec.Raw(e.event)) for key, e in self.entries.items()]
        lines = [msgspec.json.encode(self.header), msgspec.json.encode(JournalBatch(folds, counted, spooling))]
        try:
            shorter = frames.replacement(self._path, lines)
        except OSError as error:
            log.warning("A journal of counts stays long, a shorter one could not be written: %s", error.strerror)
            shorter = None
        if self._file and shorter:
            self._file.close()
            self._file = shorter
        self._compact_at = max(self._least, 2 * self._file.size if self._file else 0)

    def _forget_empty_file(self) -> None:
        if self._file and not self._file.size:
            self.drop()
            self._file = None

    def restore(self, batch: JournalBatch) -> int:
        """Count again what a journal of an earlier process says.

        Returns how many execs could not be, as the line that showed the first of their kind was broken.
        Raises DecodeError where an event is none, by this version's shape.
        """
        lost = 0
        for fold in batch.folds:
            if fold.key not in self.entries and bytes(fold.event) != bytes(_NO_EVENT):
                msgspec.json.decode(fold.event, type=Event)
                self.entries[fold.key] = Aggregate(bytes(fold.event), fold.first, fold.last)
            if entry := self.entries.get(fold.key):
                self._count(fold.key, entry, fold.count, fold.first, fold.last)
            else:
                lost += fold.count
        return lost

    def summaries(self, most: int | None = None) -> list[Event]:
        """One event a fold key, oldest key first; the same ones, ids included, whenever asked.

        Of those that are not `sent`, and no more than `most`.
        """
        unsent = itertools.islice(self.entries.items(), self.sent, None)
        return [self._summary(key, entry) for key, entry in itertools.islice(unsent, most)]

    @property
    def next_bytes(self) -> int:
        """What the next summary takes as JSON, or a few bytes more; 0 where all are sent."""
        return next((len(entry.event) for entry in itertools.islice(self.entries.values(), self.sent, None)), 0)

    def _summary(self, key: str, entry: Aggregate) -> Event:
        event = msgspec.json.decode(entry.event, type=Event)
        event.event_id = summary_event_id(self.header.boot_id, key, self.header.start_ns, self.header.sequence)
        event.mode, event.count = "summary", entry.count
        event.observed_at, event.last_at = entry.first, entry.last
        return event

    def drop(self) -> None:
        """Forget the journal: all summaries are spooled."""
        if self._file:
            self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


class Aggregator:
    """The windows of a sensor: one open, and those whose summaries the spool has yet to take."""

    def __init__(
        self,
        folder: Path,
        boot_id: str,
        seconds: float = WINDOW_SECONDS,
        max_keys: int = MAX_KEYS,
        compact_bytes: int = COMPACT_BYTES,
    ) -> None:
        """Take up what an earlier process left in `folder`. `seconds` is the length of a window."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder, self._boot_id, self._seconds, self._max_keys = folder, boot_id, seconds, max_keys
        self._compact_bytes, self._sequence = compact_bytes, 0
        self._open: AggregationWindow | None = None
        self._deadline = 0.0
        self.closed: list[AggregationWindow] = []
        self.broken = 0
        """Execs, as far as they are known, whose counts the disk gave back wrong; they are lost."""
        self.counted: frozenset[uuid.UUID] = frozenset()
        """Events that an earlier process counted: skip them."""
        self.spooled: frozenset[uuid.UUID] = frozenset()
        """Events that an earlier process may have spooled: never fold them."""
        for path in sorted(folder.glob("*.fold")):
            self._recover(path)
        self._carried = self.counted, self.spooled
        """What the first journal must say too: this process may be killed before it has read them again."""
        if self.counted or self.spooled:
            self._window().journal([], [])

    def _recover(self, path: Path) -> None:
        """Take up one journal; one that can't be read, or not any more, must not end every start from now on."""
        self._sequence = max(self._sequence, int(path.stem))
        lines: list[bytes] = []
        try:
            lines, broken = frames.read(path)
            if lines:
                self._restore(path, lines)
            else:
                path.unlink()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            frames.set_aside(path, error)
            self.broken += sum(map(_execs, lines)) or 1
        else:
            self.broken += broken

    def _restore(self, path: Path, lines: Sequence[bytes]) -> None:
        """Raises DecodeError with nothing taken up."""
        header = msgspec.json.decode(lines[0], type=JournalHeader)
        batches = [msgspec.json.decode(line, type=JournalBatch) for line in lines[1:]]
        window = AggregationWindow(path, header)
        self.broken += sum([window.restore(batch) for batch in batches])
        last = batches[-1] if batches else JournalBatch([], [], [])
        self.counted = frozenset([*header.counted, *last.counted])
        self.spooled = frozenset([*header.spooling, *last.spooling])
        self.closed.append(window)

    def record(self, folded: Sequence[Event], spooling: Iterable[Event]) -> int:
        """Count `folded` durably and note which events are about to be spooled.

        Returns how many execs found no room (too many fold keys, and a spool that takes no summaries).
        """
        window = self._window()
        lost = 0
        counted = [event.event_id for event in folded]
        for event in folded:
            if len(window.entries) < 2 * self._max_keys:
                window.add(event)
            else:
                lost += event.count
        window.journal(counted, [event.event_id for event in spooling])
        return lost

    def _window(self) -> AggregationWindow:
        if self._open is None:
            self._sequence += 1
            header = JournalHeader(self._boot_id, time.time_ns(), self._sequence, *map(list, self._carried))
            self._carried = frozenset(), frozenset()
            self._open = AggregationWindow(self._folder / f"{self._sequence:016d}.fold", header, self._compact_bytes)
            self._deadline = time.monotonic() + self._seconds
        return self._open

    def close_due(self, *, now: bool = False) -> None:
        """End the open window once its time is up (or `now`), unless an earlier one still waits for the spool."""
        window = self._open
        if window is None or (self.closed and not now):
            return
        if now or time.monotonic() >= self._deadline or len(window.entries) >= self._max_keys:
            self.closed.append(window)
            self._open = None
            if now and (window.header.counted or window.header.spooling):
                self._carry(window.header)

    def _carry(self, header: JournalHeader) -> None:
        """The capture may not have given everything again yet: what was carried over stays on disk."""
        self._carried = frozenset(header.counted), frozenset(header.spooling)
        self._window().journal([], [])

    def drop(self, window: AggregationWindow) -> None:
        """Forget a closed window whose summaries are all spooled."""
        self.closed.remove(window)
        window.drop()


def _execs(line: bytes) -> int:
    """How many execs a journal's line counts, where it says so."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        return sum(fold.count for fold in msgspec.json.decode(line, type=_Counts).folds)
    return 0


def aggregation_key(event: Event) -> list[object]:
    """All that a policy can look at and that an outcome says, but argv: execs alike in it may be counted together.

    Wider than WIRE's key by pod, parent and outcome, so that a backtest on summaries is exact.
    """
    container, process = event.container, event.process
    return [
        container.namespace, container.owner, container.name, container.image_name, container.image_digest,
        container.pod_name, sorted(container.pod_labels.items()), event.kind, process.path, process.name,
        process.sha256, process.parent.name if process.parent else None,
        event.decision, event.outcome, event.outcome_reason, event.identity,
    ]  # fmt: skip


def _drop_names(event: Event) -> None:
    """Leave of a flood what it is, where and how decided: who runs ever new files fills no spool with their names."""
    kept = event.process
    event.process = Process(name="*", path="/*", argv_truncated=True, uid=kept.uid, pid=kept.pid)
    event.truncated = True


def _digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:32]
