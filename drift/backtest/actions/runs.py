"""Start, run, cancel and sweep backtests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User, scope_digest
from accounts.roles import Role
from drift.backtest.actions.run_states import claim, end, follow, request_cancel, sweep_runs
from drift.backtest.errors import BaseUnknown, PeriodInvalid, TooManyRuns
from drift.backtest.models import UNFINISHED, BacktestRun, RunState
from drift.backtest.queries.comparison import compare
from drift.policy.domain.edits import checked
from drift.policy.models import PolicyVersion
from drift.queue import enqueue
from sensor.policy import digest

MAX_UNFINISHED: Final = 4


@transaction.atomic(durable=True)
def start(user: User, document: object, base: int, days: int) -> BacktestRun:
    """Store and queue a run of `document` over the last `days` days, today included.

    If the user has an equal run that has not ended, returns that. Raises DocumentInvalid, BaseUnknown, PeriodInvalid,
    TooManyRuns.
    """
    new = _new_run(user, document, base, days)
    unfinished: list[BacktestRun] = list(BacktestRun.objects.filter(state__in=UNFINISHED).defer("document"))
    for other in unfinished:
        if _is_equal(other, new):
            return other
    if len(unfinished) >= MAX_UNFINISHED:
        raise TooManyRuns
    new.save()
    audit.record(user, "started", "backtest", new.pk, name=str(new), after={"base": base, "days": days})
    enqueue("backtest.run", new.pk)
    return new


@transaction.atomic(durable=True)
def cancel(user: User, run_id: int) -> BacktestRun:
    """Cancel a run: at once while it is queued, else as soon as its worker notices. Raises AlreadyFinished."""
    run: BacktestRun = BacktestRun.objects.select_for_update().get(pk=run_id)
    request_cancel(run, user, "backtest")
    return run


def perform(run_id: int) -> None:
    """Run a queued backtest. Does nothing if another worker has claimed it or it has ended."""
    if not claim(BacktestRun, run_id):
        return
    run = BacktestRun.objects.select_related("base", "started_by").get(pk=run_id)
    viewer: User = run.started_by
    viewer.narrowed_by = run.narrowed_by
    if not viewer.has_role(Role.READER) or scope_digest(viewer) != run.scope_digest:
        end(BacktestRun, run_id, RunState.FAILED, error="What you see has changed since. Start it again.")
        return

    def work(report: Callable[[int], bool]) -> dict[str, Any]:
        return {"result": compare(run.base.document, run.document, run.first_day, run.until, report, viewer=viewer)}

    follow(BacktestRun, run_id, work)


def sweep(now: dt.datetime) -> None:
    """Queue runs again that no worker claimed, fail those whose worker is lost, delete old ones."""
    sweep_runs(BacktestRun, "backtest.run", now)


def period_start(days: int, now: dt.datetime) -> dt.date:
    """Return the first of the last `days` days. Raises PeriodInvalid if events are not kept that long."""
    maximum = settings.EVENT_RETENTION_DAYS
    if not 1 <= days <= maximum:
        raise PeriodInvalid(maximum)
    return now.date() - dt.timedelta(days=days - 1)


def _new_run(user: User, document: object, base: int, days: int) -> BacktestRun:
    now = timezone.now()
    first, normalised = period_start(days, now), checked(document)
    version = PolicyVersion.objects.filter(number=base).first()
    if version is None:
        raise BaseUnknown
    return BacktestRun(
        started_by=user,
        narrowed_by=user.narrowed_by,
        scope_digest=scope_digest(user),
        base=version,
        document=normalised,
        digest=digest(normalised),
        first_day=first,
        until=now,
    )


def _is_equal(one: BacktestRun, other: BacktestRun) -> bool:
    if one.cancel_requested:
        return False
    facts = ("started_by_id", "scope_digest", "base_id", "digest", "first_day")
    return all(getattr(one, name) == getattr(other, name) for name in facts)
