"""The daily partitions of the event table: made before they are needed, dropped when their day is over.

There is no default partition: an event outside every partition is refused, never misplaced.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

PARENT: Final = "alerts_driftevent"
DAYS_AHEAD: Final = 7
"""How long beat may be away before ingest has to make a partition itself."""
LOCK: Final = 0x64726966
"""Advisory lock: two processes never make or drop partitions at once."""
LOCK_TIMEOUT: Final = "5s"
"""Dropping needs the whole table for a moment; a query that holds it for longer wins, until next hour."""

_NAME = re.compile(rf"^{PARENT}_(\d{{8}})$")


def oldest_day(today: dt.date) -> dt.date:
    """The first day of which events are kept."""
    return today - dt.timedelta(days=settings.EVENT_RETENTION_DAYS)


def partition_name(day: dt.date) -> str:
    """The table of one day: safe in SQL, for it is made of digits."""
    return f"{PARENT}_{day:%Y%m%d}"


def keep_partitions(today: dt.date | None = None) -> tuple[list[str], list[str]]:
    """Make every partition from the retention's first day to a week ahead; drop what is older.

    May run at any time and any number of times. Returns the names (made, dropped).
    """
    today = today or timezone.now().date()
    wanted = _days(oldest_day(today), today + dt.timedelta(days=DAYS_AHEAD))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
        there = _existing(cursor)
        made = [_make(cursor, day) for day in wanted if day not in there]
        dropped = [_drop(cursor, day) for day in sorted(there) if day < wanted[0]]
    return made, dropped


def _days(first: dt.date, last: dt.date) -> list[dt.date]:
    return [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]


def _existing(cursor: CursorWrapper) -> set[dt.date]:
    cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [PARENT])
    found = (_NAME.match(name) for (name,) in cursor.fetchall())
    return {dt.datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=dt.UTC).date() for match in found if match}


def _make(cursor: CursorWrapper, day: dt.date) -> str:
    """Made on its own and then attached: that takes a weaker lock on the parent than PARTITION OF does."""
    name = partition_name(day)
    bounds = [day, day + dt.timedelta(days=1)]
    cursor.execute(f"CREATE TABLE {name} (LIKE {PARENT} INCLUDING ALL)")
    cursor.execute(f"ALTER TABLE {PARENT} ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)", bounds)
    return name


def _drop(cursor: CursorWrapper, day: dt.date) -> str:
    name = partition_name(day)
    cursor.execute(f"DROP TABLE {name}")
    return name
