"""Aggregation: many like execs become one summary event with a count.

Ignored drift, and repeats of an alert past their limit, are counted by key in windows of a minute. Σ count is exact,
also when the sensor is killed: every batch is journaled, with the ids of its events, before the capture commits it.
A new process

- counts on from the journal, and sends its summaries under the ids that the old one would have used;
- skips events that the journal counts, should the capture return them again;
- never aggregates an event that the old process may have spooled: it is sent again, and the portal knows its id.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from sensor.delivery import frames
from sensor.delivery.aggregation_journal import JournalBatch, JournalHeader, counted_execs
from sensor.delivery.aggregation_window import COMPACT_BYTES, AggregationWindow
from sensor.wire import Event, json_bytes

WINDOW_SECONDS: Final = 60.0
MAX_KEYS: Final = 5_000
"""Keys of a window; at that many it ends early."""


class Aggregator:
    """The windows of a sensor: one open, and those whose summaries the spool has yet to take."""

    def __init__(
        self,
        directory: Path,
        boot_id: str,
        seconds: float = WINDOW_SECONDS,
        max_keys: int = MAX_KEYS,
        compact_bytes: int = COMPACT_BYTES,
    ) -> None:
        """Continue what an earlier process left in `directory`. `seconds` is the length of a window."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory, self._boot_id, self._seconds, self._max_keys = directory, boot_id, seconds, max_keys
        self._compact_bytes, self._sequence = compact_bytes, 0
        self._open: AggregationWindow | None = None
        self._deadline = 0.0
        self.closed: list[AggregationWindow] = []
        self.broken = 0
        """Execs with unreadable counts, as far as their number is known; they are lost."""
        self.counted: frozenset[uuid.UUID] = frozenset()
        """Events that an earlier process counted: skip them."""
        self.spooled: frozenset[uuid.UUID] = frozenset()
        """Events that an earlier process may have spooled: never aggregate them."""
        for path in sorted(directory.glob("*.fold")):
            self._recover(path)
        # The first journal repeats these ids: this process may be killed before the capture returned all of them.
        self._carried = self.counted, self.spooled
        if self.counted or self.spooled:
            self._window().journal([], [])

    def _recover(self, path: Path) -> None:
        """Continue one journal; one that cannot be read is set aside, else it would end every start from now on."""
        self._sequence = max(self._sequence, int(path.stem))
        lines: list[bytes] = []
        try:
            lines, broken = frames.read(path)
            if lines:
                self._restore(path, lines)
            else:
                path.unlink()
        except (OSError, msgspec.DecodeError) as error:
            frames.set_aside(path, error)
            self.broken += sum(map(counted_execs, lines)) or 1
        else:
            self.broken += broken

    def _restore(self, path: Path, lines: Sequence[bytes]) -> None:
        """Take over a journal's window. Raises DecodeError with nothing taken over."""
        header = json_bytes.decode(lines[0], JournalHeader)
        batches = [json_bytes.decode(line, JournalBatch) for line in lines[1:]]
        window = AggregationWindow(path, header)
        self.broken += sum([window.restore(batch) for batch in batches])
        # Only the last batch may not have been committed by the capture.
        last = batches[-1] if batches else JournalBatch([], [], [])
        self.counted = frozenset([*header.counted, *last.counted])
        self.spooled = frozenset([*header.spooling, *last.spooling])
        self.closed.append(window)

    def record(self, aggregated: Sequence[Event], spooling: Iterable[Event]) -> int:
        """Count `aggregated` durably, and note which events are about to be spooled.

        Returns how many execs found no room: too many keys while the spool takes no summaries.
        """
        window = self._window()
        lost = 0
        counted = [event.event_id for event in aggregated]
        for event in aggregated:
            if len(window.aggregates) < 2 * self._max_keys:
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
            path = self._directory / f"{self._sequence:016d}.fold"
            self._open = AggregationWindow(path, header, self._compact_bytes)
            self._deadline = time.monotonic() + self._seconds
        return self._open

    def close_due(self, *, now: bool = False) -> None:
        """End the open window once its time is up (or `now`), unless an earlier one still waits for the spool."""
        window = self._open
        if window is None or (self.closed and not now):
            return
        if now or time.monotonic() >= self._deadline or len(window.aggregates) >= self._max_keys:
            self.closed.append(window)
            self._open = None
            if now and (window.header.counted or window.header.spooling):
                # The capture may not have returned all of these events yet: keep their ids on disk.
                self._carried = frozenset(window.header.counted), frozenset(window.header.spooling)
                self._window().journal([], [])

    def drop(self, window: AggregationWindow) -> None:
        """Drop a closed window once all its summaries are spooled."""
        self.closed.remove(window)
        window.drop()
