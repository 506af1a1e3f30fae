"""What runs of backtests and noise budgets have in common: claimed once, followed, ended, swept."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from typing import Any, Final

from django.utils import timezone
from rest_framework.exceptions import APIException

from accounts import audit
from accounts.models import User
from drift.backtest.actions.run_monitor import RunMonitor
from drift.backtest.errors import AlreadyFinished
from drift.backtest.models import UNFINISHED, BacktestRun, NoiseRun, RunState
from drift.queue import enqueue

logger = logging.getLogger(__name__)
LOST_AFTER: Final = dt.timedelta(seconds=330)
"""A run without progress for longer than a task's time limit (portal.celery) has lost its worker."""
UNCLAIMED_AFTER: Final = dt.timedelta(seconds=30)
RETENTION: Final = dt.timedelta(days=30)
Kind = type[BacktestRun] | type[NoiseRun]


def claim(kind: Kind, run_id: int) -> bool:
    """Return whether this worker got the queued run: the claim is an UPDATE, which one of two workers makes."""
    queued = kind.objects.filter(pk=run_id, state=RunState.QUEUED)
    return bool(queued.update(state=RunState.RUNNING, touched_at=timezone.now()))


def request_cancel(run: BacktestRun | NoiseRun, user: User, subject: str) -> None:
    """Cancel a locked run: at once while it is queued, else as soon as its worker notices. Raises AlreadyFinished."""
    if run.is_finished:
        raise AlreadyFinished
    run.cancel_requested = True
    if run.state == RunState.QUEUED:
        run.state, run.finished_at = RunState.CANCELLED, timezone.now()
    run.save(update_fields=["cancel_requested", "state", "finished_at"])
    audit.record(user, "cancelled", subject, run.pk, name=str(run))


def follow(kind: Kind, run_id: int, work: Callable[[Callable[[int], bool]], dict[str, Any]]) -> None:
    """Do a claimed run's work, which reports its progress, and store the fields that it returns."""
    monitor = RunMonitor(lambda done: _record_progress(kind, run_id, done))
    try:
        with monitor:
            fields = work(monitor.report)
    except Exception as error:
        if monitor.stopped:
            end(kind, run_id, RunState.CANCELLED)
            return
        if isinstance(error, APIException) and error.status_code < 500:
            end(kind, run_id, RunState.FAILED, error=str(error.detail))
            return
        logger.exception("%s %d failed", kind.__name__, run_id)
        end(kind, run_id, RunState.FAILED, error=_reason(error))
        raise
    if monitor.stopped:
        end(kind, run_id, RunState.CANCELLED)
    else:
        end(kind, run_id, RunState.DONE, progress=100, **fields)


def end(kind: Kind, run_id: int, state: RunState, **fields: Any) -> None:
    """End a run that runs."""
    rows = kind.objects.filter(pk=run_id, state=RunState.RUNNING)
    rows.update(state=state, finished_at=timezone.now(), **fields)


def sweep_runs(kind: Kind, task: str, now: dt.datetime) -> None:
    """Queue runs again that no worker claimed, fail those whose worker is lost, delete old ones."""
    waiting = kind.objects.filter(state=RunState.QUEUED, touched_at__lt=now - UNCLAIMED_AFTER)
    for run_id in waiting.values_list("pk", flat=True):
        enqueue(task, run_id)
    lost = kind.objects.filter(state=RunState.RUNNING, touched_at__lt=now - LOST_AFTER)
    lost.update(state=RunState.FAILED, finished_at=now, error="The worker was lost. Start it again.")
    kind.objects.filter(created_at__lt=now - RETENTION).exclude(state__in=UNFINISHED).delete()


def _record_progress(kind: Kind, run_id: int, progress: int) -> bool:
    """Store the progress. Returns False if the run was cancelled, or failed as lost."""
    rows = kind.objects.filter(pk=run_id, state=RunState.RUNNING, cancel_requested=False)
    return bool(rows.update(progress=progress, touched_at=timezone.now()))


def _reason(error: Exception) -> str:
    """Return an error that the user can act on; the details are in the log."""
    if type(error).__name__ == "SoftTimeLimitExceeded":
        return "It timed out. Choose fewer days."
    if isinstance(error, APIException):
        return str(error.detail)
    return "Something went wrong. The worker's log has the details."
