"""Reports what a container executed around its drift: before it, and for ten minutes after."""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from sensor import wire
from sensor.agent.event_rate_limits import fingerprint
from sensor.capture.errors import CaptureUnavailable
from sensor.capture.exec_history import START, ExecHistory
from sensor.capture.exec_tracks import Cursor
from sensor.container.recent import Recent
from sensor.delivery.spool import Spool
from sensor.files.durable import write_atomically
from sensor.names.masking import Masker

AFTER_SECONDS: Final = 600.0
"""How long a container's execs are reported after the first event of a fingerprint."""
NEW_AGAIN_SECONDS: Final = 3_600.0
"""After so long a fingerprint counts as new: its alert may have been closed, and opens again."""
FINGERPRINTS: Final = 4_096
CONTAINERS: Final = 64
"""Containers that are followed at once."""
POLL_SECONDS: Final = 1.0
CONTAINER_EXECS: Final = 640
"""Reported of one container while it is followed."""
NODE_EXECS_PER_HOUR: Final = 4_000
"""Below what the portal stores of a sensor."""
PERSIST_SECONDS: Final = 60.0
"""A longer time to follow a container is written to disk where it is longer by this much."""
LOST: Final = "exec_history"
"""Cause in `Counters.unknown`: execs that the history of a followed container lacks."""

log = logging.getLogger(__name__)


@dataclasses.dataclass
class FollowedContainer:
    """A container whose execs are reported until a time since boot, and how far that is."""

    until: float
    namespace: str | None = None
    cursor: Cursor = START
    reported: int = 0
    missed: int = 0
    persisted_until: float = 0.0


class ExecReporter:
    """Follows containers that drifted. `switch` may be called from any thread, the rest from the agent's."""

    def __init__(
        self,
        history: Callable[[], ExecHistory | None],
        spool: Spool,
        masker: Masker,
        *,
        path: Path,
        boot: str,
        clock: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    ) -> None:
        """`path` is the file with what to go on with after a restart; `clock` is in seconds since boot."""
        self._history, self._spool, self._masker, self._clock = history, spool, masker, clock
        self._path, self._boot = path, boot
        self._is_on = threading.Event()
        self._applied: tuple[ExecHistory | None, bool] | None = None
        self._followed: dict[str, FollowedContainer] = {}
        self._seen: Recent[bytes, float] = Recent(FINGERPRINTS)
        self._read: Recent[str, Cursor] = Recent(FINGERPRINTS)
        self._next_poll = self._hour_ends = 0.0
        self._left = NODE_EXECS_PER_HOUR
        self.unknown: Counter[str] = Counter()
        """Execs that the reports lack."""
        self._restore()

    def switch(self, on: bool) -> None:  # noqa: FBT001 - a callback with one value
        """Set whether the portal wants reports; in force with the next step."""
        if on:
            self._is_on.set()
        else:
            self._is_on.clear()

    def is_on(self) -> bool:
        """Return whether the portal wants reports."""
        return self._is_on.is_set()

    def note(self, event: wire.Event) -> None:
        """Follow the event's container if the event is the first of its fingerprint, and report what ran before it."""
        if event.canary or event.mode != "exec" or not self._apply_switch():
            return
        now, key = self._clock(), fingerprint(event)
        seen = self._seen.get(key)
        if seen is not None and now - seen < NEW_AGAIN_SECONDS:
            return
        self._seen.put(key, now)
        container_id = event.container.id
        followed = self._followed.get(container_id)
        if followed is None:
            if len(self._followed) == CONTAINERS:
                self.unknown[LOST] += 1
                return
            cursor = self._read.get(container_id) or START
            followed = self._followed[container_id] = FollowedContainer(now, event.container.namespace, cursor)
        followed.until = now + AFTER_SECONDS
        if followed.until - followed.persisted_until >= PERSIST_SECONDS:
            self._persist()
        # At once: what ran before is overwritten by what runs next.
        self._report(container_id, followed)

    def step(self) -> None:
        """Report what the followed containers executed since the last step, once a second."""
        now = self._clock()
        if not self._apply_switch() or now < self._next_poll:
            return
        self._next_poll = now + POLL_SECONDS
        for container_id, followed in list(self._followed.items()):
            self._report(container_id, followed)
            if now >= followed.until:
                del self._followed[container_id]
                self._read.put(container_id, followed.cursor)
                self.unknown[LOST] += followed.missed
                self._persist()

    def _apply_switch(self) -> bool:
        """Pass the switch on to the history, also of a backend that has just taken over. Returns whether it is on."""
        history, is_on = self._history(), self._is_on.is_set()
        if self._applied != (history, is_on):
            if history is not None:
                history.switch(on=is_on)
            if not is_on:
                self._followed.clear()
            self._applied = history, is_on
            self._persist()
        return is_on and history is not None

    def _report(self, container_id: str, followed: FollowedContainer) -> None:
        history = self._history()
        if history is None:
            return
        try:
            found = history.read(container_id, followed.cursor)
        except CaptureUnavailable as error:
            # Detail: no event waits for it, or is lost with it.
            log.warning("What a container executed could not be read: %s", error)
            self.unknown[LOST] += 1
            return
        followed.cursor = found.cursor
        followed.missed += found.missed
        allowed = self._take(min(len(found.execs), CONTAINER_EXECS - followed.reported))
        # The last ones: they are nearest to the event.
        skipped, execs = len(found.execs) - allowed, found.execs[len(found.execs) - allowed :]
        followed.missed += skipped
        for start in range(0, len(execs), wire.MAX_EXECS):
            self._spool_report(container_id, followed, execs[start : start + wire.MAX_EXECS])

    def _spool_report(
        self, container_id: str, followed: FollowedContainer, execs: tuple[wire.ContainerExec, ...]
    ) -> None:
        for each in execs:
            each.argv = self._masker.mask(each.argv, truncated=each.argv_truncated)
        report = wire.ExecReport(container_id, list(execs), followed.namespace, followed.missed)
        if self._spool.append([msgspec.json.encode(report)]):
            followed.reported += len(execs)
            self.unknown[LOST] += followed.missed
            followed.missed = 0
        else:
            followed.missed += len(execs)

    def _take(self, wanted: int) -> int:
        """Take from what the node may report in this hour; returns how much of it is allowed."""
        now = self._clock()
        if now >= self._hour_ends:
            self._hour_ends, self._left = now + 3_600.0, NODE_EXECS_PER_HOUR
        allowed = max(0, min(wanted, self._left))
        self._left -= allowed
        return allowed

    def _persist(self) -> None:
        """Write what a sensor that is killed now goes on with."""
        followed = {key: [each.until, each.namespace, *each.cursor] for key, each in self._followed.items()}
        state = {"boot": self._boot, "on": self._is_on.is_set(), "followed": followed}
        try:
            write_atomically(self._path, json.dumps(state).encode())
        except OSError as error:
            log.warning("Which containers are followed could not be written: %s", error.strerror)
            return
        for each in self._followed.values():
            each.persisted_until = each.until

    def _restore(self) -> None:
        try:
            state: Any = json.loads(self._path.read_bytes())
            self.switch(bool(state["on"]))
            if state["boot"] == self._boot:
                for key, (until, namespace, *read) in state["followed"].items():
                    cursor = Cursor(*read)
                    self._followed[key] = FollowedContainer(until, namespace, cursor, persisted_until=until)
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("Which containers were followed could not be read: %s", error)
