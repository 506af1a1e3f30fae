"""Uploads the reports of what containers executed. They are detail: what the portal rejects is dropped, and counted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from sensor.delivery.backoff import Backoff, jittered
from sensor.delivery.client import EnvironmentOff, PortalClient, PortalError, PortalUnavailable, RequestRejected
from sensor.delivery.lifecycle import Lifecycle
from sensor.delivery.spool import Spool
from sensor.wire import MAX_REPORTS

OFF_PAUSE: Final = 30.0
WAIT: Final = 1.0
"""Seconds to wait for a report before checking whether to stop."""
NOT_OURS: Final = frozenset({401, 403, 429})
"""Statuses that say nothing about the reports."""

log = logging.getLogger(__name__)


class ExecUploader:
    """Sends the oldest segment of reports, then drops it."""

    def __init__(
        self,
        portal: PortalClient,
        spool: Spool,
        lifecycle: Lifecycle,
        *,
        is_wanted: Callable[[], bool],
        backoff: Backoff | None = None,
    ) -> None:
        """Drop what is not sent yet while `is_wanted` returns False."""
        self._portal, self._spool, self._lifecycle, self._is_wanted = portal, spool, lifecycle, is_wanted
        self._backoff = backoff or Backoff()
        self.dropped = 0
        """Reports that the portal rejected, or that were unreadable."""

    def step(self) -> None:
        """Upload one segment, or wait a second for one."""
        segment = self._spool.oldest(timeout=WAIT)
        if segment is None:
            return
        if not self._is_wanted():
            self._spool.drop(segment)
            return
        try:
            lines = segment.lines()
        except OSError as error:
            self._spool.set_aside(segment, error)
            return
        self.dropped += segment.events - len(lines)
        for start in range(0, len(lines), MAX_REPORTS):
            if not self._send(lines[start : start + MAX_REPORTS]):
                return
        self._spool.drop(segment)

    def _send(self, batch: list[bytes]) -> bool:
        """Send a batch until it was answered; returns False where the sensor stops before."""
        while not self._lifecycle.stopping.is_set():
            if not self._is_wanted():
                return True
            try:
                self._portal.send_exec_reports(batch)
            except RequestRejected as rejection:
                if rejection.status not in NOT_OURS:
                    log.warning("The portal rejected what containers executed; it is dropped: %s", rejection)
                    self.dropped += len(batch)
                    return True
                self._wait(PortalUnavailable(str(rejection)))
            except PortalError as error:
                self._wait(error)
            else:
                self._lifecycle.record_answer()
                self._backoff.reset()
                return True
        return False

    def _wait(self, error: PortalError) -> None:
        self._lifecycle.record_answer(error)
        if isinstance(error, EnvironmentOff):
            self._lifecycle.pause(jittered(OFF_PAUSE, 0.5))
        elif isinstance(error, PortalUnavailable):
            self._lifecycle.pause(self._backoff.next(error.retry_after))
