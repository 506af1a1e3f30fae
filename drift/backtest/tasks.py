"""Celery tasks of backtests and noise budgets. Each may run twice."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from drift.backtest.actions import noise_runs as noise_actions
from drift.backtest.actions import runs as actions


@shared_task(name="backtest.run")
def run(run_id: int) -> None:
    """Run one backtest, unless it is claimed or has ended."""
    actions.perform(run_id)


@shared_task(name="backtest.sweep")
def sweep() -> None:
    """Every 30 seconds: recover from lost messages and workers."""
    now = timezone.now()
    actions.sweep(now)
    noise_actions.sweep_noise_runs(now)


@shared_task(name=noise_actions.TASK)
def find_noise_budget(run_id: int) -> None:
    """Find the plan of one noise budget, unless it is claimed or has ended."""
    noise_actions.perform_noise_run(run_id)
