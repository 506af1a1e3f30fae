"""Whether alerts reach the SIEM."""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.utils import timezone

from drift.health.domain.outcomes import CheckOutcome, failing, ok
from drift.siem.queries.destinations import DestinationStatus, destination_statuses

FAILURES: Final = 3
"""Attempts, over half a minute: one alone is a receiver that restarts."""
LATE: Final = dt.timedelta(minutes=5)


def siem_outcome() -> CheckOutcome:
    """Return whether every destination that is not paused gets its records."""
    broken = [status for status in destination_statuses() if _is_broken(status)]
    if not broken:
        return ok()
    first, more = broken[0], f", and {len(broken) - 1} more" if len(broken) > 1 else ""
    since = min((status.oldest for status in broken if status.oldest), default=None)
    return failing(f"{first.destination.name}: {first.state}, {first.lag} records wait{more}", since, len(broken))


def _is_broken(status: DestinationStatus) -> bool:
    if status.state in {"paused", "no scope"}:
        return status.state == "no scope"
    is_late = status.oldest is not None and timezone.now() - status.oldest > LATE
    return is_late or status.destination.failures >= FAILURES
