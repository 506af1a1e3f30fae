"""Backtest runs that a user may see."""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.conf import settings
from django.db.models import F
from django.shortcuts import get_object_or_404
from django.utils import timezone

from accounts.models import User, VisibleQuerySet, scope_digest
from drift.backtest.models import BacktestRun, RunState
from drift.policy.models import PolicyVersion

RECENT: Final = dt.timedelta(days=1)
"""How long a finished run shows what a save would do now."""
PERIOD_DAYS: Final = 7


def visible_run(user: User, run_id: int) -> BacktestRun:
    """Return one run with its result, without its document. Raises Http404."""
    rows = BacktestRun.objects.visible_to(user).select_related("started_by")
    run: BacktestRun = get_object_or_404(rows.defer("document"), pk=run_id)
    return run


def newest_runs(user: User, limit: int) -> VisibleQuerySet:
    """Return the newest runs, without documents and results."""
    rows = BacktestRun.objects.visible_to(user).select_related("started_by").defer("document", "result")
    return rows.order_by("-created_at", "-pk")[:limit]


def draft_run(user: User, base: PolicyVersion, digest: str) -> BacktestRun | None:
    """Return the user's newest run of the document with this digest against `base`."""
    mine = BacktestRun.objects.visible_to(user).filter(started_by=user, scope_digest=scope_digest(user))
    rows = mine.filter(base=base, digest=digest)
    return rows.defer("document").order_by("-pk").first()


def is_recently_backtested(base: int, digest: str, **_: object) -> bool:
    """Return whether anybody's run of the document with this digest against version `base` ended within a day.

    It counts if it read the whole estate's events, of PERIOD_DAYS or of as many as are kept.
    """
    days = min(PERIOD_DAYS, settings.EVENT_RETENTION_DAYS)
    rows = BacktestRun.objects.filter(base=base, digest=digest, scope_digest="", state=RunState.DONE)
    whole = rows.filter(first_day__lte=F("until__date") - dt.timedelta(days=days - 1))
    return whole.filter(finished_at__gte=timezone.now() - RECENT).exists()
