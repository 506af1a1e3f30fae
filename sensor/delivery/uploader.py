"""Delivers the spool, segment by segment, whatever the portal answers (DESIGN §3)."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from sensor.delivery.client import EnvironmentOff, PortalClient, PortalError, PortalUnavailable, RequestRejected
from sensor.delivery.lifecycle import Backoff, Lifecycle, jittered
from sensor.delivery.rejected_events import RejectedEvents
from sensor.delivery.spool import Spool, SpoolSegment
from sensor.wire import Event

OFF_PAUSE: Final = 30.0
"""Seconds, at most, between two tries while the environment's sensor is off."""
WAIT: Final = 1.0
"""Seconds to wait for an event before looking whether to stop."""

OF_THE_BATCH: Final = frozenset({400, 413, 422})
"""Refusals that what was sent is to blame for. Any other 4xx, as of a wrong address, is waited out."""

log = logging.getLogger(__name__)


class Uploader:
    """Sends the oldest segment until the portal has every event of it, then drops it."""

    def __init__(
        self,
        portal: PortalClient,
        spool: Spool,
        set_aside: RejectedEvents,
        running: Lifecycle,
        *,
        backoff: Backoff | None = None,
        off_pause: float = OFF_PAUSE,
    ) -> None:
        self._portal, self._spool, self._set_aside, self._running = portal, spool, set_aside, running
        self._backoff, self._off_pause = backoff or Backoff(), off_pause
        self._restamped: set[bytes] = set()
        self.broken = 0
        """Events that the disk gave back wrong."""

    def step(self) -> None:
        """Deliver one segment, or wait a second for one."""
        segment = self._spool.oldest(timeout=WAIT)
        if segment and self._deliver(segment):
            self._spool.drop(segment)

    def _deliver(self, segment: SpoolSegment) -> bool:
        """Whether every event of the segment is acknowledged or set aside; False where it is not to be dropped.

        That is where the sensor stops before, or the disk does not give it back.
        """
        try:
            lines = segment.lines()
        except OSError as error:
            self._spool.set_aside(segment, error)
            return False
        self.broken += segment.events - len(lines)
        todo = [lines] if lines else []
        while todo and not self._running.stopping.is_set():
            batch = todo.pop()
            todo.extend(reversed(self._send(batch)))
        self._restamped.clear()
        return not todo

    def _send(self, batch: list[bytes]) -> list[list[bytes]]:
        """Send a batch. Returns what is left to send of it, in order: nothing, all, or parts."""
        try:
            self._portal.send(batch)
        except RequestRejected as refusal:
            if refusal.status in OF_THE_BATCH:
                self._running.answered()
                return [part for part in self._resolve(batch, refusal) if part]
            self._wait(PortalUnavailable(str(refusal)))
            return [batch]
        except PortalError as error:
            self._wait(error)
            return [batch]
        self._running.answered()
        self._backoff.reset()
        return []

    def _wait(self, error: PortalError) -> None:
        self._running.answered(error)
        if isinstance(error, EnvironmentOff):
            self._running.pause(jittered(self._off_pause, 0.5))
        elif isinstance(error, PortalUnavailable):
            seconds = self._backoff.next(error.retry_after)
            log.warning("Events wait for %.0f s: %s", seconds, error)
            self._running.pause(seconds)

    def _resolve(self, batch: list[bytes], refusal: RequestRejected) -> list[list[bytes]]:
        """What to send instead of a batch that was refused as it is."""
        index = refusal.index
        if refusal.status == 413 or index is None or not 0 <= index < len(batch):
            if len(batch) > 1:
                return [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
            index = 0
        if refusal.code == "clock_skew" and batch[index] not in self._restamped:
            return [self._restamp(batch, refusal.portal_time)]
        self._put_aside(batch[index], refusal)
        return [batch[:index] + batch[index + 1 :]]

    def _put_aside(self, line: bytes, refusal: RequestRejected) -> None:
        log.warning("The portal refused an event (%s); it is set aside: %s", refusal.code, refusal)
        self._set_aside.add(line, refusal.code, refusal.field, str(refusal))

    def _restamp(self, batch: Sequence[bytes], portal_time: dt.datetime | None) -> list[bytes]:
        """The batch with no time later than the portal's (else this node's) now; ids stay."""
        now = portal_time or dt.datetime.now(dt.UTC)
        restamped = [_no_later(line, now) for line in batch]
        self._restamped.update(restamped)
        return restamped


def _no_later(line: bytes, now: dt.datetime) -> bytes:
    event = msgspec.json.decode(line, type=Event)
    if event.observed_at <= now and event.last_at <= now:
        return line
    event.observed_at, event.last_at = min(event.observed_at, now), min(event.last_at, now)
    return msgspec.json.encode(event)
