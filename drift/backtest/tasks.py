"""What Celery runs for backtests. Each may run twice."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from drift.backtest.actions import runs as actions


@shared_task(name="backtest.run")
def run(run_id: int) -> None:
    """Do one run, unless it was done or claimed already."""
    actions.perform(run_id)


@shared_task(name="backtest.sweep")
def sweep() -> None:
    """Every 30 seconds: find what a lost message or worker left undone."""
    actions.sweep(timezone.now())
