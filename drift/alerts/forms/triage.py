"""Reading what reviewers send: which alerts, at which revision, and the decision."""

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
from drift.alerts.queries.filters import number

MAX_DAYS: Final = 10_000
QUIET: Final = (
    ("7", "7 days"),
    ("30", "30 days"),
    ("date", "Until a date"),
    ("spread", "Until it spreads to another workload"),
)
REASONS: Final[Mapping[str, list[Resolution]]] = {
    status.value: [verdict for verdict in verdicts if verdict != Resolution.SUPPRESSED]
    for status, verdicts in RESOLUTIONS.items()
}
"""What a person may choose for a closed status."""


def revisions(data: QueryDict) -> dict[int, int]:
    """The chosen alerts and the revision of each that the page showed: `alert=ID:REVISION`. Raises Invalid."""
    found = {}
    for text in data.getlist("alert"):
        pk, revision = (number(part) for part in text.partition(":")[::2])
        if pk is None or revision is None:
            raise Invalid(f"{text[:40]!r} is no alert and revision.", "alert")
        found[pk] = revision
    return found


def decision(data: QueryDict) -> StatusChange:
    """The decision that a form holds. Raises Invalid with the field that is wrong."""
    wanted = data.get("status", "")
    if wanted not in Status.values:
        raise Invalid("Choose a status.", "status")
    status = Status(wanted)
    quiet = data.get("quiet", "") if status == Status.DISMISSED else ""
    return StatusChange(
        status,
        data.get("verdict", ""),
        data.get("comment", "").strip(),
        _quiet_until(quiet, data.get("until", "")),
        until_spread=quiet == "spread",
    )


def _quiet_until(quiet: str, until: str) -> dt.datetime | None:
    days = number(quiet)
    if days is not None and days < MAX_DAYS:
        return timezone.now() + dt.timedelta(days=days)
    return end_of(until, "quiet_until") if quiet == "date" else None


def end_of(day: str, field: str) -> dt.datetime:
    """The first moment after a day (UTC). Raises Invalid, naming the field, for what is no date."""
    try:
        return dt.datetime.combine(dt.date.fromisoformat(day) + dt.timedelta(days=1), dt.time(), dt.UTC)
    except (ValueError, OverflowError):
        raise Invalid("Choose a date.", field) from None
