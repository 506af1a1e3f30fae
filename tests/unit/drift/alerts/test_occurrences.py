"""The chart of when an alert's program ran."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert, AlertHour
from drift.alerts.queries.occurrences import MIN_BARS, Histogram, histogram
from tests.unit.drift.alerts.conftest import Estate, event, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture
def alert(estate: Estate) -> Alert:
    ingest(estate.sensors[0], raw(event()))
    return Alert.objects.get()


def drawn(alert: Alert, *ago: dt.timedelta) -> Histogram:
    """Return the chart of an alert whose program ran once at each of these ages."""
    last = AlertHour.objects.get(alert=alert).hour
    AlertHour.objects.bulk_create([AlertHour(alert=alert, hour=last - each, count=1) for each in ago])
    found = histogram(alert)
    assert found is not None
    return found


def test_the_last_hour_is_at_the_right_end(alert: Alert) -> None:
    found = drawn(alert, dt.timedelta(hours=3))

    assert [bar.position for bar in found.bars] == [MIN_BARS - 4, MIN_BARS - 1]
    assert found.start == found.bars[-1].start - dt.timedelta(hours=MIN_BARS - 1)


def test_a_long_open_alert_is_drawn_by_day_with_room_for_all(alert: Alert) -> None:
    found = drawn(alert, dt.timedelta(days=80), dt.timedelta(days=1))

    assert (found.room, [bar.position for bar in found.bars]) == (81, [0, 79, 80])
    assert found.start == found.bars[0].start


def test_the_outcome_has_the_same_wording_as_the_filter(
    alert: Alert, reader: Any, client_of: Callable[[Any], Client]
) -> None:
    page = client_of(reader).get(f"/alerts/{alert.pk}/?tab=timeline").content.decode()

    assert '<td data-label="Outcome">Detected</td>' in page
    assert f"/alerts/incidents/{alert.incident_id}/" in page
