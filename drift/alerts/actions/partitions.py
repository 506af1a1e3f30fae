"""Daily partitions of the event table: created before they are needed, dropped after their retention period.

There is no default partition: an event outside every partition is rejected, never misplaced.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from drift.alerts.domain.event_table import EVENT_TABLE, partition_name
from drift.alerts.queries.event_retention import oldest_day

DAYS_AHEAD: Final = 7
"""How long beat may be down before ingest has to create a partition itself."""
LOCK: Final = 0x64726966
"""Advisory lock: two processes never create or drop partitions at once."""
LOCK_TIMEOUT: Final = "1s"
"""Dropping locks the whole table for a moment. Where a query holds it longer, the partition goes an hour later; without
a timeout the waiting DROP would hold up every query behind it."""
_NAME: Final = re.compile(rf"^{EVENT_TABLE}_(\d{{8}})$")


def prepare_event_table() -> None:
    """Create the partitions where table and functions exist: after migrating back they do not."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s), to_regprocedure('alerts_create_partition(date)')", [EVENT_TABLE])
        is_ready = None not in cursor.fetchone()
    if is_ready:
        keep_partitions()


def keep_partitions(today: dt.date | None = None) -> tuple[list[str], list[str]]:
    """Create the partitions from the oldest day kept to a week ahead, and drop older ones.

    May run at any time and any number of times. Returns the names (created, dropped).
    """
    today = today or timezone.now().date()
    oldest, latest = oldest_day(today), today + dt.timedelta(days=DAYS_AHEAD)
    wanted = [oldest + dt.timedelta(days=number) for number in range((latest - oldest).days + 1)]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
        existing = _existing_days(cursor)
        created = [_run(cursor, "alerts_create_partition", day) for day in wanted if day not in existing]
        dropped = [_run(cursor, "alerts_drop_partition", day) for day in sorted(existing) if day < oldest]
    return created, dropped


def _existing_days(cursor: CursorWrapper) -> set[dt.date]:
    cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [EVENT_TABLE])
    found = (_NAME.match(name) for (name,) in cursor.fetchall())
    return {dt.datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=dt.UTC).date() for match in found if match}


def _run(cursor: CursorWrapper, function: str, day: dt.date) -> str:
    """Create or drop one day's partition, by a function that runs as the owner of the table. Returns its name."""
    cursor.execute(f"SELECT {function}(%s)", [day])
    return partition_name(day)
