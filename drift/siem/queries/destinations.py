"""The destinations of alerts, and how far behind each is."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from django.db.models import Max

from drift.alerts.models import AlertActivity
from drift.siem.models import SiemDestination

MAX_LAG: Final = 10_000
"""A lag is counted no further."""


@dataclass(frozen=True)
class DestinationStatus:
    """A destination with its lag: records behind its cursor, at most MAX_LAG + 1, and the time of the oldest."""

    destination: SiemDestination
    waiting: int
    oldest: dt.datetime | None

    @property
    def lag(self) -> str:
        """The number of waiting records, in words."""
        return f"{MAX_LAG:,}+" if self.waiting > MAX_LAG else f"{self.waiting:,}"

    @property
    def state(self) -> str:
        """`paused`, `failing`, `no scope`, `behind` or `current`."""
        row = self.destination
        if not row.enabled:
            return "paused"
        if row.is_scoped and row.scope_group_id is None:
            return "no scope"
        if row.failures:
            return "failing"
        return "behind" if self.waiting else "current"


def destination_statuses() -> list[DestinationStatus]:
    """Return all destinations by name."""
    return [_status(row) for row in SiemDestination.objects.select_related("scope_group").order_by("name")]


def newest_change() -> int:
    """Return the id of the newest change of an alert, 0 where there is none."""
    return AlertActivity.objects.aggregate(newest=Max("pk"))["newest"] or 0


def _status(row: SiemDestination) -> DestinationStatus:
    behind = AlertActivity.objects.filter(pk__gt=row.cursor)
    oldest = behind.order_by("pk").values_list("at", flat=True).first()
    return DestinationStatus(row, behind.order_by()[: MAX_LAG + 1].count() if oldest else 0, oldest)
