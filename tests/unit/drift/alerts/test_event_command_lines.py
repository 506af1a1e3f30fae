"""Command lines of stored events go after ARGV_RETENTION_DAYS; everything else of the events stays."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from drift.alerts.actions.event_command_lines import delete_event_command_lines
from drift.alerts.actions.ingest import ingest
from drift.alerts.domain.event_table import partition_name
from drift.alerts.models import DriftEvent
from drift.alerts.queries.command_lines import DayOfEvents, days_with_command_lines
from tests.database import as_owner
from tests.unit.drift.alerts.conftest import Estate, event, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]
OLD, KEPT = 10, 5


def days_ago(days: int) -> dt.datetime:
    return timezone.now() - dt.timedelta(days=days)


@pytest.fixture
def _events(estate: Estate) -> None:
    ingest(estate.sensors[0], raw(*(event(at=days_ago(days)) for days in (OLD, OLD, KEPT, 0))))


def command_lines() -> dict[dt.date, list[Any]]:
    found: dict[dt.date, list[Any]] = {}
    for row in DriftEvent.objects.order_by("observed_on"):
        found.setdefault(row.observed_on, []).append(row.detail["argv"])
    return found


@pytest.mark.usefixtures("_events")
def test_command_lines_of_events_go_after_their_retention_and_the_event_stays(settings: Any) -> None:
    assert delete_event_command_lines() == 0, "0: kept as long as the event"
    before = {row.pk: row.detail for row in DriftEvent.objects.all()}
    settings.ARGV_RETENTION_DAYS = KEPT
    assert delete_event_command_lines() == 2
    assert delete_event_command_lines() == 0
    assert command_lines()[days_ago(OLD).date()] == [[], []]
    assert command_lines()[days_ago(KEPT).date()] != [[]] and command_lines()[days_ago(0).date()] != [[]]
    for row in DriftEvent.objects.filter(observed_on=days_ago(OLD).date()):
        assert row.detail == before[row.pk] | {"argv": [], "argv_truncated": True}


@pytest.mark.usefixtures("_events")
def test_events_whose_detail_was_dropped_are_left_alone(settings: Any) -> None:
    with as_owner() as cursor:
        cursor.execute("UPDATE alerts_driftevent SET detail = NULL")
    settings.ARGV_RETENTION_DAYS = 1
    assert delete_event_command_lines() == 0


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("command lines deleted: inserted {inserted}, next page -1", None),
        ("command lines deleted: inserted {inserted}, next page 500", 500),
        ("command lines deleted: inserted 987654, next page -1", 0),
        ("something else", 0),
    ],
    ids=["done", "interrupted", "events that arrived late", "another comment"],
)
@pytest.mark.usefixtures("_events")
def test_a_day_is_looked_at_until_it_is_done(comment: str, expected: int | None) -> None:
    (fresh,) = [day for day in days_with_command_lines(days_ago(0).date()) if day.day == days_ago(OLD).date()]
    with as_owner() as cursor:
        name = partition_name(fresh.day)
        cursor.execute(f"COMMENT ON TABLE {name} IS '{comment.format(inserted=fresh.inserted)}'")
    found = [day for day in days_with_command_lines(days_ago(0).date()) if day.day == fresh.day]
    assert found == ([] if expected is None else [DayOfEvents(fresh.day, expected, fresh.inserted)])
