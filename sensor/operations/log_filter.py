"""A rate-limited log filter: an error that repeats with every exec, such as a full disk, must not fill the log too."""

from __future__ import annotations

import logging
import time
from typing import Final

SECONDS: Final = 60.0
"""A message is logged once in this time, whatever its arguments."""


class RateLimitedLogFilter(logging.Filter):
    """Passes each message of a logger once per interval. Dropped ones are counted elsewhere, as lost events are."""

    def __init__(self, seconds: float = SECONDS) -> None:
        super().__init__()
        self._seconds = seconds
        self._logged: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record's format string was not logged within the last `seconds`."""
        now = time.monotonic()
        logged = self._logged.get(str(record.msg))
        if logged is not None and now - logged < self._seconds:
            return False
        self._logged[str(record.msg)] = now
        return True
