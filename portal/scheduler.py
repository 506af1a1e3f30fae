"""Beat's schedule, which also reports that beat runs."""

from __future__ import annotations

from typing import Any

from celery.beat import PersistentScheduler

from drift.health.actions.process_reports import Reporter


class ReportingScheduler(PersistentScheduler):
    """Celery's own schedule; beat is reported while it looks, every few seconds, what is due."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._reporter = Reporter("beat")
        super().__init__(*args, **options)

    def tick(self, *args: Any, **options: Any) -> float:
        """Send what is due; return the seconds until the next look."""
        self._reporter.pulse()
        return float(super().tick(*args, **options))
