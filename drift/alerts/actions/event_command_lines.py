"""Delete the command lines of stored events that are past ARGV_RETENTION_DAYS."""

from __future__ import annotations

import datetime as dt
import time
from typing import Final

from django.conf import settings
from django.db import connection
from django.utils import timezone

from drift.alerts.queries.command_lines import days_with_command_lines

SECONDS: Final = 180
"""The time of one run, well within a task's limit. The next run goes on."""


def delete_event_command_lines() -> int:
    """Delete them day by day, some pages of the table in each transaction. Returns the number of events changed."""
    if not settings.ARGV_RETENTION_DAYS:
        return 0
    end = time.monotonic() + SECONDS
    total = 0
    # A day is done as a whole, and never today: events are still added to it.
    first_kept = timezone.now().date() - dt.timedelta(days=settings.ARGV_RETENTION_DAYS)
    while time.monotonic() < end and (days := days_with_command_lines(first_kept)):
        total += _delete_step(days[0].day, days[0].first_page, days[0].inserted)
    return total


def _delete_step(day: dt.date, first_page: int, inserted: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT alerts_delete_command_lines(%s, %s, %s)", [day, first_page, inserted])
        return int(cursor.fetchone()[0])
