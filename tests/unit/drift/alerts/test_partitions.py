"""Partitions of the event table."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from drift.alerts.actions import partitions
from drift.alerts.domain.event_table import partition_name

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def tables() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'alerts_driftevent'::regclass"
        )
        return {name for (name,) in cursor.fetchall()}


def today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


def test_migrating_creates_partitions_for_the_retention_and_a_week_ahead() -> None:
    begun = (today(), today() - dt.timedelta(days=1))  # where it is past midnight since the database was made
    wanted = [{partition_name(day + dt.timedelta(days=n)) for n in range(-30, 8)} for day in begun]

    assert any(names <= tables() for names in wanted)


def test_maintaining_partitions_twice_changes_nothing() -> None:
    partitions.keep_partitions()

    assert partitions.keep_partitions() == ([], [])


def test_a_day_later_one_partition_is_created_and_one_dropped(settings: Any) -> None:
    settings.EVENT_RETENTION_DAYS = 3
    day = today()
    partitions.keep_partitions(day)

    made, dropped = partitions.keep_partitions(day + dt.timedelta(days=1))

    assert made == [partition_name(day + dt.timedelta(days=8))]
    assert dropped == [partition_name(day - dt.timedelta(days=3))]


def test_an_event_outside_every_partition_is_rejected() -> None:
    with pytest.raises(IntegrityError, match="no partition"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO alerts_driftevent SELECT '1999-01-01', gen_random_uuid(), gen_random_uuid(), 'exec', 1, now(),"
            " now(), now(), 1, 1, gen_random_uuid(), '', '', '', 'ignore', '', '', NULL, 'none', '', NULL"
        )
