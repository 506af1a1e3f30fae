"""Uploads the spool, segment by segment, and handles rejections (docs/sensor.md#when-the-portal-rejects-a-request)."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from sensor.delivery.backoff import Backoff, jittered
from sensor.delivery.client import EnvironmentOff, PortalClient, PortalError, PortalUnavailable, RequestRejected
from sensor.delivery.lifecycle import Lifecycle
from sensor.delivery.rejected_events import RejectedEvents
from sensor.delivery.spool import Spool, SpoolSegment
from sensor.wire import Event

OFF_PAUSE: Final = 30.0
"""Longest pause in seconds between two tries while the environment's sensor is off."""
WAIT: Final = 1.0
"""Seconds to wait for an event before checking whether to stop."""

BATCH_ERRORS: Final = frozenset({400, 413, 422})
"""Statuses that the batch itself causes. Any other 4xx, such as for a wrong address, is retried as it is."""

log = logging.getLogger(__name__)


class Uploader:
    """Sends the oldest segment until the portal has every event of it, then drops it."""

    def __init__(
        self,
        portal: PortalClient,
        spool: Spool,
        rejected: RejectedEvents,
        lifecycle: Lifecycle,
        *,
        backoff: Backoff | None = None,
        off_pause: float = OFF_PAUSE,
    ) -> None:
        self._portal, self._spool, self._rejected, self._lifecycle = portal, spool, rejected, lifecycle
        self._backoff, self._off_pause = backoff or Backoff(), off_pause
        self._restamped: set[bytes] = set()
        self.broken = 0
        """Events that were unreadable when their segment was uploaded."""

    def step(self) -> None:
        """Upload one segment, or wait a second for one."""
        segment = self._spool.oldest(timeout=WAIT)
        if segment and self._upload(segment):
            self._spool.drop(segment)

    def _upload(self, segment: SpoolSegment) -> bool:
        """Return whether to drop the segment: every event of it is acknowledged or set aside."""
        try:
            lines = segment.lines()
        except OSError as error:
            self._spool.set_aside(segment, error)
            return False
        self.broken += segment.events - len(lines)
        # A stack of batches: a rejected one comes back as the parts to send in its place.
        todo = [lines] if lines else []
        while todo and not self._lifecycle.stopping.is_set():
            batch = todo.pop()
            todo.extend(reversed(self._send(batch)))
        self._restamped.clear()
        return not todo

    def _send(self, batch: list[bytes]) -> list[list[bytes]]:
        """Send a batch and return its unsent events, in order: none, all, or some."""
        try:
            self._portal.send(batch)
        except RequestRejected as rejection:
            if rejection.status in BATCH_ERRORS:
                self._lifecycle.record_answer()
                return [part for part in self._resolve(batch, rejection) if part]
            self._wait(PortalUnavailable(str(rejection)))
            return [batch]
        except PortalError as error:
            self._wait(error)
            return [batch]
        self._lifecycle.record_answer()
        self._backoff.reset()
        return []

    def _wait(self, error: PortalError) -> None:
        self._lifecycle.record_answer(error)
        if isinstance(error, EnvironmentOff):
            self._lifecycle.pause(jittered(self._off_pause, 0.5))
        elif isinstance(error, PortalUnavailable):
            seconds = self._backoff.next(error.retry_after)
            log.warning("Events are sent again in %.0f s: %s", seconds, error)
            self._lifecycle.pause(seconds)

    def _resolve(self, batch: list[bytes], rejection: RequestRejected) -> list[list[bytes]]:
        """Return what to send in place of a rejected batch."""
        index = rejection.index
        if rejection.status == 413 or index is None or not 0 <= index < len(batch):
            # The portal did not name an event: halve the batch until one is left.
            if len(batch) > 1:
                return [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
            index = 0
        if rejection.code == "clock_skew" and batch[index] not in self._restamped:
            return [self._restamp(batch, rejection.portal_time)]
        log.warning("The portal rejected an event (%s); it is set aside: %s", rejection.code, rejection)
        self._rejected.add(batch[index], rejection.code, rejection.field, str(rejection))
        return [batch[:index] + batch[index + 1 :]]

    def _restamp(self, batch: Sequence[bytes], portal_time: dt.datetime | None) -> list[bytes]:
        """Return the batch with no time later than the portal's now, else this node's; ids stay as they are."""
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
