"""Warnings that a fault would repeat with every exec: a full disk must not fill the log as well."""

from __future__ import annotations

import logging
import time
from typing import Final

SECONDS: Final = 60.0
"""How long a message is not said again, whatever its arguments."""


class RateLimitedLogFilter(logging.Filter):
    """Lets each message of a logger through once in a while. What it drops is counted elsewhere, as lost events are."""

    def __init__(self, seconds: float = SECONDS) -> None:
        super().__init__()
        self._seconds = seconds
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record's message, before its arguments are put in, was not said within the last `seconds`."""
        now = time.monotonic()
        said = self._said.get(str(record.msg))
        if said is not None and now - said < self._seconds:
            return False
        self._said[str(record.msg)] = now
        return True
