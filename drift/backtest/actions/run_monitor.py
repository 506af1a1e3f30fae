"""Report the progress of a run, and cancel its statement, while its worker waits for PostgreSQL."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final

from django.db import DatabaseError, connection

logger = logging.getLogger(__name__)

INTERVAL: Final = 0.5
"""Seconds: a cancelled run stops at most this much later, plus the time that PostgreSQL needs."""


class RunMonitor:
    """Context manager around a run. `record(progress)` stores the percent done and returns whether to continue."""

    def __init__(self, record: Callable[[int], bool]) -> None:
        self._record = record
        self._progress = 0
        self._stopped, self._over = threading.Event(), threading.Event()
        # The run is one transaction: only another connection, so another thread, makes its progress visible.
        self._thread = threading.Thread(target=self._watch, name="backtest-monitor", daemon=True)
        connection.ensure_connection()
        self._run_connection = connection.connection

    def report(self, progress: int) -> bool:
        """Set the percent done; return whether to continue."""
        self._progress = progress
        return not self._stopped.is_set()

    @property
    def stopped(self) -> bool:
        """Whether the run was cancelled."""
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

    def _watch(self) -> None:
        try:
            while not self._over.wait(INTERVAL):
                if not self._stopped.is_set() and not self._recorded():
                    self._stopped.set()
                if self._stopped.is_set():
                    # Repeated until the run ends: between two statements there is nothing to cancel.
                    self._run_connection.cancel_safe()
        finally:
            connection.close()

    def _recorded(self) -> bool:
        try:
            return self._record(self._progress)
        except DatabaseError:
            logger.warning("the progress of a backtest was not stored", exc_info=True)
            return True
