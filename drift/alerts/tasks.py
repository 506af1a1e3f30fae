"""What beat asks for. Each may run twice."""

from __future__ import annotations

from celery import shared_task

from drift.alerts.actions import partitions


@shared_task(name="alerts.keep_partitions")
def keep_partitions() -> None:
    """Make the event table ready for the days to come, and drop the days that retention has passed."""
    partitions.keep_partitions()
