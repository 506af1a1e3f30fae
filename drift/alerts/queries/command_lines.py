"""Days of events whose command lines are past their retention."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Final

from django.db import connection

from drift.alerts.domain.event_table import EVENT_TABLE, partition_name

_STATE: Final = re.compile(r"command lines deleted: inserted (-?\d+), next page (-?\d+)")
"""The comment of a partition, as `alerts_delete_command_lines` writes it."""


@dataclass(frozen=True)
class DayOfEvents:
    """A partition that still has to be looked at, from `first_page` on. `inserted` counts the rows it was given."""

    day: dt.date
    first_page: int
    inserted: int


def days_with_command_lines(before: dt.date) -> list[DayOfEvents]:
    """Return the days before `before` whose command lines are not all deleted, newest first.

    A day that was done is returned again once events have been added to it: sensors deliver late.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, obj_description(oid, 'pg_class'), pg_stat_get_tuples_inserted(oid) FROM pg_class"
            " JOIN pg_inherits ON inhrelid = oid WHERE inhparent = %s::regclass AND relname ~ %s AND relname < %s"
            " ORDER BY relname DESC",
            [EVENT_TABLE, rf"^{EVENT_TABLE}_\d{{8}}$", partition_name(before)],
        )
        found = [_day(*row) for row in cursor.fetchall()]
    return [day for day in found if day is not None]


def _day(name: str, comment: str | None, inserted: int) -> DayOfEvents | None:
    state = _STATE.fullmatch(comment or "")
    first_page = int(state[2]) if state and int(state[1]) == inserted else 0
    if first_page < 0:
        return None
    day = dt.datetime.strptime(name.rpartition("_")[2], "%Y%m%d").replace(tzinfo=dt.UTC).date()
    return DayOfEvents(day, first_page, inserted)
