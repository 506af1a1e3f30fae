"""From when a sensor's alerts are set aside, as chosen on the panel."""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.utils import timezone

from drift.fleet.models.sensors import NEVER

SINCE: Final = (
    ("now", "From now on"),
    ("hour", "Of the last hour and from now on"),
    ("day", "Of the last 24 hours and from now on"),
    ("week", "Of the last 7 days and from now on"),
    ("all", "All of them"),
)
CLEAN_UP: Final = (("", "Leave its alerts as they are"), *((key, label.split(" and ")[0]) for key, label in SINCE[1:]))
"""The choices where the sensor ends: it sends nothing from now on."""
_BACK: Final = {"hour": dt.timedelta(hours=1), "day": dt.timedelta(days=1), "week": dt.timedelta(days=7)}


def chosen_time(choice: str) -> dt.datetime | None:
    """Return the time of a choice; None for an unknown one, and for none."""
    if choice == "all":
        return NEVER
    if choice in _BACK:
        return timezone.now() - _BACK[choice]
    return timezone.now() if choice == "now" else None
