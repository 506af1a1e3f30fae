"""The effect of a change on the last days, counted while a person waits."""

from __future__ import annotations

import datetime as dt
import time
from typing import Final

from django.conf import settings
from django.utils import timezone

from accounts.models import User
from drift.alerts.queries.query_limits import QueryLimit, run_limited
from drift.backtest.domain.result import Result
from drift.backtest.queries.comparison import Cancelled, compare
from drift.policy.domain.edits import Document

DAYS: Final = 7
SECONDS: Final = 4.0
"""How long counting may take; a backtest has no such limit."""


def quick_comparison(user: User, before: Document, after: Document) -> Result | QueryLimit:
    """Return what the events of the last DAYS would have been, or the limit that counting them met."""
    deadline = time.monotonic() + SECONDS
    days = min(DAYS, settings.EVENT_RETENTION_DAYS)
    now = timezone.now()
    first = now.date() - dt.timedelta(days=days - 1)

    def is_in_time(_: int) -> bool:
        return time.monotonic() < deadline

    def count() -> Result:
        return compare(before, after, first, now, is_in_time, viewer=user, max_transitions=None)

    try:
        return run_limited(user, SECONDS, count)
    except Cancelled:
        return QueryLimit.TIMEOUT
