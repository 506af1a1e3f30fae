"""What starts, runs and ends a backtest."""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift.backtest.actions.run_monitor import RunMonitor
from drift.backtest.errors import AlreadyFinished, BaseUnknown, PeriodInvalid, TooManyRuns
from drift.backtest.models import UNFINISHED, BacktestRun, RunState
from drift.backtest.queries.comparison import run as compare
from drift.policy.domain.edits import checked
from drift.policy.models import PolicyVersion
from drift.queue import enqueue
from sensor.policy import digest

logger = logging.getLogger(__name__)

MOST_UNFINISHED: Final = 4
LOST_AFTER: Final = dt.timedelta(seconds=330)
"""A run that has not moved for longer than any task may run (portal.celery) has lost its worker."""
UNCLAIMED_AFTER: Final = dt.timedelta(seconds=30)
KEPT: Final = dt.timedelta(days=30)


@transaction.atomic(durable=True)
def start(user: User, document: object, base: int, days: int) -> BacktestRun:
    """Store a run of `document` over the last `days` days, today included, and ask a worker for it.

    An equal run of the same user that has not ended is given back instead. Raises DocumentInvalid,
    BaseUnknown, PeriodInvalid, TooManyRuns.
    """
    new = _prepared(user, document, base, days)
    unfinished: list[BacktestRun] = list(BacktestRun.objects.filter(state__in=UNFINISHED).defer("document"))
    for other in unfinished:
        if _asks_the_same(other, new):
            return other
    if len(unfinished) >= MOST_UNFINISHED:
        raise TooManyRuns
    new.save()
    audit.record(user, "started", "backtest", new.pk, name=str(new), after={"base": base, "days": days})
    enqueue("backtest.run", new.pk)
    return new


@transaction.atomic(durable=True)
def cancel(user: User, run_id: int) -> BacktestRun:
    """End a run: at once where no worker has it yet, else as soon as its worker asks. Raises AlreadyFinished."""
    run: BacktestRun = BacktestRun.objects.select_for_update().get(pk=run_id)
    if run.is_finished:
        raise AlreadyFinished
    run.cancel_requested = True
    if run.state == RunState.QUEUED:
        run.state, run.finished_at = RunState.CANCELLED, timezone.now()
    run.save(update_fields=["cancel_requested", "state", "finished_at"])
    audit.record(user, "cancelled", "backtest", run.pk, name=str(run))
    return run


def perform(run_id: int) -> None:
    """Do a queued run; one that another worker has claimed, or that has ended, is left alone."""
    now = timezone.now()
    claimed = BacktestRun.objects.filter(pk=run_id, state=RunState.QUEUED).update(
        state=RunState.RUNNING, touched_at=now
    )
    if not claimed:
        return
    run = BacktestRun.objects.select_related("base").get(pk=run_id)
    watch = RunMonitor(lambda done: _go_on(run_id, done))
    try:
        with watch:
            result = compare(run.base.document, run.document, run.first_day, run.until, watch.report)
    except Exception as error:
        if watch.stopped:
            _end(run_id, RunState.CANCELLED)
            return
        logger.exception("backtest %d failed", run_id)
        _end(run_id, RunState.FAILED, error=_reason(error))
        raise
    if watch.stopped:
        _end(run_id, RunState.CANCELLED)
    else:
        _end(run_id, RunState.DONE, progress=100, result=result)


def sweep(now: dt.datetime) -> None:
    """Ask again for runs that no worker took up, end those whose worker is gone, forget the old ones."""
    waiting = BacktestRun.objects.filter(state=RunState.QUEUED, touched_at__lt=now - UNCLAIMED_AFTER)
    for run_id in waiting.values_list("pk", flat=True):
        enqueue("backtest.run", run_id)
    lost = BacktestRun.objects.filter(state=RunState.RUNNING, touched_at__lt=now - LOST_AFTER)
    lost.update(state=RunState.FAILED, finished_at=now, error="The worker was lost. Start it again.")
    BacktestRun.objects.filter(created_at__lt=now - KEPT).exclude(state__in=UNFINISHED).delete()


def period(days: int, now: dt.datetime) -> dt.date:
    """The first of the last `days` days. Raises PeriodInvalid where events are not kept as long."""
    most = settings.EVENT_RETENTION_DAYS
    if not 1 <= days <= most:
        raise PeriodInvalid(most)
    return now.date() - dt.timedelta(days=days - 1)


def _prepared(user: User, document: object, base: int, days: int) -> BacktestRun:
    now = timezone.now()
    first_day, normalised = period(days, now), checked(document)
    version = PolicyVersion.objects.filter(number=base).first()
    if version is None:
        raise BaseUnknown
    return BacktestRun(
        started_by=user,
        base=version,
        document=normalised,
        digest=digest(normalised),
        first_day=first_day,
        until=now,
    )


def _asks_the_same(one: BacktestRun, other: BacktestRun) -> bool:
    if one.cancel_requested:
        return False
    facts = ("started_by_id", "base_id", "digest", "first_day")
    return all(getattr(one, name) == getattr(other, name) for name in facts)


def _go_on(run_id: int, progress: int) -> bool:
    """Note the progress; False where the run was cancelled, or swept away as lost."""
    rows = BacktestRun.objects.filter(pk=run_id, state=RunState.RUNNING, cancel_requested=False)
    return bool(rows.update(progress=progress, touched_at=timezone.now()))


def _end(run_id: int, state: RunState, **fields: Any) -> None:
    rows = BacktestRun.objects.filter(pk=run_id, state=RunState.RUNNING)
    rows.update(state=state, finished_at=timezone.now(), **fields)


def _reason(error: Exception) -> str:
    """What a person can do something about; the rest is in the log."""
    if type(error).__name__ == "SoftTimeLimitExceeded":
        return "It took too long. Choose fewer days."
    return "Something went wrong; the worker's log says what."
