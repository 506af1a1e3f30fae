"""Celery tasks of backtests. Each may run twice."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from drift.backtest.actions import runs as actions


@shared_task(name="backtest.run")
def run(run_id: int) -> None:
    """Run one backtest, unless it is claimed or has ended."""
    actions.perform(run_id)


@shared_task(name="backtest.sweep")
def sweep() -> None:
    """Every 30 seconds: recover from lost messages and workers."""
    actions.sweep(timezone.now())
