"""Read what reviewers send: which alerts, at which revision, and their new status."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Final

from django.http import QueryDict
from django.utils import timezone

from drift.alerts.actions.triage import StatusChange
from drift.alerts.errors import Invalid
from drift.alerts.models import Resolution, Status
from drift.alerts.models.alerts import RESOLUTIONS
from drift.web.requests import bounded_int

MAX_SNOOZE_DAYS: Final = 9_999
SNOOZES: Final = (
    ("7", "7 days"),
    ("30", "30 days"),
    ("date", "Until a date"),
    ("spread", "Until it spreads to another workload"),
)
REVIEWER_RESOLUTIONS: Final[Mapping[str, list[Resolution]]] = {
    status.value: [resolution for resolution in resolutions if resolution != Resolution.SUPPRESSED]
    for status, resolutions in RESOLUTIONS.items()
}
"""The resolutions that a reviewer may choose, by closed status."""


def read_revisions(data: QueryDict) -> dict[int, int]:
    """Return the chosen alerts and the revision of each that the page showed: `alert=ID:REVISION`. Raises Invalid."""
    found = {}
    for chosen in data.getlist("alert"):
        pk, revision = (bounded_int(digits) for digits in chosen.partition(":")[::2])
        if pk is None or revision is None:
            raise Invalid(f"{chosen[:40]!r} is not a valid alert and revision.", "alert")
        found[pk] = revision
    return found


def read_status_change(data: QueryDict) -> StatusChange:
    """Return the new status, with its resolution and snooze. Raises Invalid with the field that is wrong."""
    wanted = data.get("status", "")
    if wanted not in Status.values:
        raise Invalid("Choose a status.", "status")
    status = Status(wanted)
    snooze = data.get("snooze", "") if status == Status.DISMISSED else ""
    return StatusChange(
        status,
        data.get("verdict", ""),
        data.get("comment", "").strip(),
        _snooze_end(snooze, data.get("until", "")),
        until_spread=snooze == "spread",
    )


def _snooze_end(snooze: str, until: str) -> dt.datetime | None:
    days = bounded_int(snooze, maximum=MAX_SNOOZE_DAYS)
    if days is not None:
        return timezone.now() + dt.timedelta(days=days)
    return read_day_end(until, "quiet_until") if snooze == "date" else None


def read_day_end(day: str, field: str) -> dt.datetime:
    """Return the first moment after a day (UTC). Raises Invalid, naming the field, where it is not a date."""
    try:
        return dt.datetime.combine(dt.date.fromisoformat(day) + dt.timedelta(days=1), dt.time(), dt.UTC)
    except (ValueError, OverflowError):
        raise Invalid("Choose a date.", field) from None
