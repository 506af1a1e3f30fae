"""What the agent's threads share: when to stop and why, and how long to wait."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import Final

from sensor.delivery.client import CredentialRejected, EnvironmentOff, PortalError, SensorRevoked

CALM_AFTER_CRASH: Final = 5.0

log = logging.getLogger(__name__)


class Lifecycle:
    """A sensor that runs until `stopping` is set, by a signal or by an answer that is final."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.fatal: PortalError | None = None
        """The answer that ended the run, if one did."""
        self.environment_off = False

    def pause(self, seconds: float) -> None:
        """Wait, but not past the moment of stopping."""
        self.stopping.wait(seconds)

    def answered(self, error: PortalError | None = None) -> None:
        """Take note of an answer: None for a yes. A final one stops the sensor."""
        if isinstance(error, CredentialRejected | SensorRevoked):
            self.fatal = self.fatal or error
            self.stopping.set()
        elif isinstance(error, EnvironmentOff) and not self.environment_off:
            self.environment_off = True
            log.warning("The sensor is switched off in this environment; what it sees is kept until it is on again")
        elif error is None and self.environment_off:
            self.environment_off = False
            log.warning("The sensor is switched on again in this environment")

    def start(self, name: str, step: Callable[[], None]) -> threading.Thread:
        """Repeat `step` in a thread of its own until stopping; a fault in it costs a pause, not the thread.

        The threads are daemons: one that hangs in a call never holds up the end.
        """
        thread = threading.Thread(target=self._repeat, args=(step,), name=name, daemon=True)
        thread.start()
        return thread

    def _repeat(self, step: Callable[[], None]) -> None:
        while not self.stopping.is_set():
            try:
                step()
            except Exception:
                log.exception("The %s thread failed and goes on", threading.current_thread().name)
                self.pause(CALM_AFTER_CRASH)


class Backoff:
    """How long to wait before the next try: twice as long each time, with jitter, so that sensors spread out."""

    def __init__(self, first: float = 1.0, longest: float = 60.0) -> None:
        """Seconds."""
        self._first, self._longest = first, longest
        self._tries = 0

    def next(self, retry_after: float | None = None) -> float:
        """Seconds to wait now; never less than what the portal asked for."""
        most = min(self._longest, self._first * 2 ** min(self._tries, 30))
        self._tries += 1
        return (retry_after or 0.0) + jittered(most, 0.5)

    def reset(self) -> None:
        self._tries = 0


def jittered(seconds: float, share: float) -> float:
    """Between `share` less and `seconds`."""
    return seconds * (1 - share * random.random())  # noqa: S311 - spreads load, guards nothing
