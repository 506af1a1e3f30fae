"""Recorded execs played as if they happened now: for the demo and for tests.

A recording is JSON lines, each a drift event (docs/wire.md#drift-event) without ids, times and decision, and with
`at`, seconds from the start, and `repeat`, how often it happens then. It plays in a loop.

As with the kernel's ring, what was read but not committed is read again by the next process, under
the same ids: the position is kept in a file.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from sensor import wire
from sensor.capture.errors import CaptureUnavailable
from sensor.files.durable import write_atomically
from sensor.judgement.counters import CaptureCounters
from sensor.names.event_ids import exec_event_id
from sensor.policy.drift_kinds import DriftKind
from sensor.wire import json_bytes

LOOP_PAUSE: Final = 30.0
"""Seconds of the recording's time between its last exec and its first one again."""
BATCH: Final = 500
FIRST_PID: Final = 2_000
PIDS: Final = 60_000


class Observation(Struct, frozen=True):
    """One line of a recording."""

    at: Annotated[float, Meta(ge=0)]
    kind: DriftKind
    process: wire.Process
    container: wire.Container
    identity: wire.Identity = "complete"
    repeat: Annotated[int, Meta(ge=1, le=100_000)] = 1


class Position(Struct):
    """Where a recording is: `run` stands in for the boot id in event ids, `done` counts execs over all loops."""

    recording: str
    run: uuid.UUID
    done: int = 0


class Replay:
    """The `Capture` that plays recordings."""

    name = "replay"

    def __init__(
        self, files: Sequence[Path], position: Path | None = None, *, speed: float = 1.0, once: bool = False
    ) -> None:
        """Load the recordings; `position` is the file to go on from, `speed` a factor.

        Raises CaptureUnavailable where a recording can't be read.
        """
        self._execs = [each for each in _read_all(files) for _ in range(each.repeat)]
        self._speed, self._once, self._position_file = speed, once, position
        self._loop_seconds = self._execs[-1].at + LOOP_PAUSE
        self._position = _position(position, _digest(files))
        self._next = self._position.done
        # Goes on as far behind the last exec as the recording does, however long it was not played.
        self._started = time.monotonic() - (self._offset(self._next - 1) if self._next else 0.0)
        self._first = self._next
        self._ended = False

    @property
    def finished(self) -> bool:
        """Whether `once` is over, or the capture of more was ended."""
        return self._ended or (self._once and self._next >= len(self._execs))

    def read(self, timeout: float) -> list[wire.Event]:
        """Return the execs that are due, after waiting up to `timeout` seconds for one."""
        wait = timeout if self.finished else self._started + self._offset(self._next) - time.monotonic()
        time.sleep(max(0.0, min(wait, timeout)))
        events: list[wire.Event] = []
        passed = time.monotonic() - self._started
        while len(events) < BATCH and not self.finished and self._offset(self._next) <= passed:
            events.append(self._event(self._next))
            self._next += 1
        return events

    def commit(self) -> None:
        """Keep the position: the next process goes on behind it."""
        self._position.done = self._next
        if self._position_file:
            write_atomically(self._position_file, msgspec.json.encode(self._position))

    def counters(self) -> CaptureCounters:
        """Every exec of a recording is a drifted one."""
        played = self._next - self._first
        return CaptureCounters(execs=played, drifted=played)

    def adopt(self, pid: int, container: wire.Container) -> bool:
        """Nothing that happens on this node is seen."""
        return False

    def detach(self) -> None:
        """Nothing more is due from now on."""
        self._ended = True

    def close(self, *, keep: bool | None = None) -> None:
        """Nothing is held; what was not committed is played again in any case."""

    def _offset(self, number: int) -> float:
        """Return the seconds from the start of the first loop to an exec, in real time."""
        loop, index = divmod(number, len(self._execs))
        return (loop * self._loop_seconds + self._execs[index].at) / self._speed

    def _event(self, number: int) -> wire.Event:
        seen = self._execs[number % len(self._execs)]
        now = dt.datetime.now(dt.UTC)
        pid = FIRST_PID + number % PIDS
        return wire.Event(
            event_id=exec_event_id(str(self._position.run), pid, number, number),
            mode="exec",
            observed_at=now,
            last_at=now,
            kind=seen.kind,
            process=msgspec.structs.replace(seen.process, pid=pid, started_at=now, argv=list(seen.process.argv)),
            container=seen.container,
            identity=seen.identity,
        )


def _read_all(files: Sequence[Path]) -> list[Observation]:
    """Return all lines of all recordings, in the order in which they happen."""
    found = [observation for path in files for observation in _read(path)]
    if not found:
        raise CaptureUnavailable("the recording to replay is empty")
    return sorted(found, key=lambda each: each.at)


def _read(path: Path) -> list[Observation]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise CaptureUnavailable(f"cannot read the recording {path}: {error.strerror}") from None
    return [_decode(line, f"{path}:{number}") for number, line in enumerate(lines, start=1) if line.strip()]


def _decode(line: bytes, place: str) -> Observation:
    try:
        return json_bytes.decode(line, Observation)
    except msgspec.DecodeError as error:
        raise CaptureUnavailable(f"{place}: {error}") from None


def _digest(files: Sequence[Path]) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def _position(file: Path | None, recording: str) -> Position:
    """Where an earlier process was in these recordings; the start of a new run where there is none."""
    try:
        kept = json_bytes.decode(file.read_bytes(), Position) if file else None
    except (OSError, msgspec.DecodeError):
        kept = None
    return kept if kept and kept.recording == recording else Position(recording, uuid.uuid4())
