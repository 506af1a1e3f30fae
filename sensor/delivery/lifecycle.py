"""The state that all threads of a running sensor share: whether to stop, and what the portal last answered."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

from sensor.delivery.client import CredentialRejected, EnvironmentOff, PortalError, SensorRevoked

PAUSE_AFTER_CRASH_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class Lifecycle:
    """A run that lasts until `stopping` is set, by a signal or by a final answer of the portal."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.fatal: PortalError | None = None
        """The answer that ended the run, if one did."""
        self.environment_off = False

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than until stopping."""
        self.stopping.wait(seconds)

    def record_answer(self, error: PortalError | None = None) -> None:
        """Record the portal's answer to any call, None for a success; a final one stops the sensor."""
        if isinstance(error, CredentialRejected | SensorRevoked):
            self.fatal = self.fatal or error
            self.stopping.set()
        elif isinstance(error, EnvironmentOff) and not self.environment_off:
            self.environment_off = True
            log.warning("The sensor is switched off in this environment; events are kept until it is on again")
        elif error is None and self.environment_off:
            self.environment_off = False
            log.warning("The sensor is switched on again in this environment")

    def start(self, name: str, step: Callable[[], None]) -> threading.Thread:
        """Repeat `step` in a thread of its own until stopping; an exception in it costs a pause, not the thread."""
        # A daemon thread: one that hangs in a system call must not hold up the end of the process.
        thread = threading.Thread(target=self._repeat, args=(step,), name=name, daemon=True)
        thread.start()
        return thread

    def _repeat(self, step: Callable[[], None]) -> None:
        while not self.stopping.is_set():
            try:
                step()
            except Exception:
                log.exception("The %s thread failed and continues", threading.current_thread().name)
                self.pause(PAUSE_AFTER_CRASH_SECONDS)
