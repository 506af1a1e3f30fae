"""The spool: events on disk until the portal has acknowledged them.

Segments are append-only files of framed JSON lines (sensor.delivery.frames), each within the bounds of one POST. The
agent's thread appends and fsyncs in groups; the uploader's thread takes the oldest segment and drops it once it is
acknowledged. Killed in between, the sensor sends a segment again, and the portal recognises the events by their ids.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from typing import TYPE_CHECKING, Final

from sensor.delivery import frames
from sensor.operations.log_filter import RateLimitedLogFilter
from sensor.wire import MAX_EVENTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MAX_BYTES: Final = 256 * 1024 * 1024
"""All segments together; past this, new events are lost and counted."""
SEGMENT_BYTES: Final = 4 * 1024 * 1024
"""Size of a segment, and so of a POST's body before gzip."""

log = logging.getLogger(__name__)
log.addFilter(RateLimitedLogFilter())


@dataclasses.dataclass(frozen=True)
class SpoolSegment:
    """A sealed file of events."""

    path: Path
    size: int
    events: int

    def lines(self) -> list[bytes]:
        """Return the events as JSON, oldest first."""
        return frames.read(self.path)[0]


class Spool:
    """Events waiting for upload, bounded in bytes. One thread appends, another one takes."""

    def __init__(self, directory: Path, max_bytes: int = MAX_BYTES, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Open the spool in `directory`, cutting off a line that a killed sensor left half written."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory, self._max_bytes, self._segment_bytes = directory, max_bytes, segment_bytes
        self._changed = threading.Condition()
        self._active: frames.FrameFile | None = None
        self._active_events = 0
        self.broken = 0
        """Unreadable lines; their events are lost."""
        self._sealed = [segment for path in sorted(directory.glob("*.jsonl")) if (segment := self._recover(path))]
        self._next = max((int(segment.path.stem) for segment in self._sealed), default=0)

    def _recover(self, path: Path) -> SpoolSegment | None:
        try:
            lines, broken = frames.read(path)
        except OSError as error:
            frames.set_aside(path, error)
            self.broken += 1  # its number of events is unknown
            return None
        self.broken += broken
        if not lines:
            path.unlink()
            return None
        return SpoolSegment(path, path.stat().st_size, len(lines))

    def append(self, lines: Sequence[bytes]) -> int:
        """Store events (JSON each) durably; returns how many were stored, from the first on.

        Fewer than given where the spool has reached its bound or the disk is full.
        """
        stored = 0
        with self._changed:
            while stored < len(lines):
                group = lines[stored : stored + self._writable(lines[stored:])]
                if not group or not self._write(group):
                    break
                stored += len(group)
            self._changed.notify_all()
        return stored

    def has_room(self, size: int) -> bool:
        """Return whether an event of this many bytes is within the spool's bound."""
        with self._changed:
            return self._bytes() + size + frames.OVERHEAD <= self._max_bytes

    def _writable(self, lines: Sequence[bytes]) -> int:
        """Return how many of `lines` fit into the active segment; starts a new one where none does."""
        if self._active and not self._fitting(lines):
            self._seal()
        return self._fitting(lines)

    def _fitting(self, lines: Sequence[bytes]) -> int:
        size = self._active.size if self._active else 0
        left = min(self._segment_bytes - size, self._max_bytes - self._bytes())
        for number, line in enumerate(lines[: MAX_EVENTS - self._active_events]):
            left -= len(line) + frames.OVERHEAD
            if left < 0:
                return number
        return min(len(lines), MAX_EVENTS - self._active_events)

    def _write(self, lines: Sequence[bytes]) -> bool:
        try:
            if self._active is None:
                self._next += 1
                self._active = frames.FrameFile(self._directory / f"{self._next:016d}.jsonl")
            self._active.append(lines, sync=True)
        except OSError as error:
            log.warning("The spool could not be written: %s", error.strerror)
            self._seal()  # never append after what may be half a line
            return False
        self._active_events += len(lines)
        return True

    def _seal(self) -> None:
        if self._active is None:
            return
        self._active.close()
        if self._active_events:
            self._sealed.append(SpoolSegment(self._active.path, self._active.size, self._active_events))
        else:
            self._active.path.unlink()
        self._active, self._active_events = None, 0

    def oldest(self, timeout: float = 0.0) -> SpoolSegment | None:
        """Return the segment to upload next, waiting up to `timeout` seconds for one; no event is added to it."""
        with self._changed:
            if not self._sealed and not self._active_events:
                self._changed.wait(timeout)
            if not self._sealed:
                self._seal()
            return self._sealed[0] if self._sealed else None

    def drop(self, segment: SpoolSegment) -> None:
        """Delete a segment; every event of it is acknowledged or set aside."""
        with self._changed:
            self._sealed.remove(segment)
            segment.path.unlink(missing_ok=True)

    def set_aside(self, segment: SpoolSegment, error: OSError) -> None:
        """Set aside a segment that is unreadable; its events are lost and counted.

        Raises `error` itself where it is transient.
        """
        frames.set_aside(segment.path, error)
        with self._changed:
            self._sealed.remove(segment)
            self.broken += segment.events

    def close(self) -> None:
        """Close the active segment; everything appended is on disk already."""
        with self._changed:
            self._seal()
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """The number of events on disk that are not acknowledged."""
        with self._changed:
            return sum(segment.events for segment in self._sealed) + self._active_events

    def _bytes(self) -> int:
        return sum(segment.size for segment in self._sealed) + (self._active.size if self._active else 0)
