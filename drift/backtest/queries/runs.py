"""Backtest runs that a user may see."""

from __future__ import annotations

from django.shortcuts import get_object_or_404

from accounts.models import User, VisibleQuerySet, scope_digest
from drift.backtest.models import BacktestRun
from drift.policy.models import PolicyVersion


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
