"""What looks after a run while its worker waits for PostgreSQL: its progress, and whether it was cancelled.

The run itself is one transaction and one long statement after the other; so a thread with a connection of its own
writes the progress where others see it, and ends the statement that nobody waits for any more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final

from django.db import DatabaseError, connection

logger = logging.getLogger(__name__)

EVERY: Final = 0.5
"""Seconds: a cancelled run ends this much later at most, and what PostgreSQL needs to stop."""


class RunMonitor:
    """Around a run: `tell(progress)` writes the percent done and says whether to go on."""

    def __init__(self, tell: Callable[[int], bool]) -> None:
        self._tell = tell
        self._progress = 0
        self._stopped, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._look_after, name="backtest-watch", daemon=True)
        connection.ensure_connection()
        self._raw = connection.connection  # the one that waits, in this thread

    def report(self, progress: int) -> bool:
        """Note the percent done; whether to go on."""
        self._progress = progress
        return not self._stopped.is_set()

    @property
    def stopped(self) -> bool:
        """Whether nobody wants the result any more."""
        return self._stopped.is_set()

    def __enter__(self) -> RunMonitor:
        connection.ensure_connection()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look_after(self) -> None:
        try:
            while not self._over.wait(EVERY):
                if not self._stopped.is_set() and not self._told():
                    self._stopped.set()
                if self._stopped.is_set():
                    # Again and again: between two statements there is nothing to cancel.
                    self._raw.cancel_safe()
        finally:
            connection.close()

    def _told(self) -> bool:
        try:
            return self._tell(self._progress)
        except DatabaseError:
            logger.warning("the progress of a backtest was not written", exc_info=True)
            return True
