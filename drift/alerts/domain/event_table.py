"""The names of the event table and of its daily partitions."""

from __future__ import annotations

import datetime as dt
from typing import Final

EVENT_TABLE: Final = "alerts_driftevent"


def partition_name(day: dt.date) -> str:
    """Return the table of one day's events. Safe in SQL: it consists of a constant and digits."""
    return f"{EVENT_TABLE}_{day:%Y%m%d}"
