"""When sensors lost something: kept by hour, from the heartbeat before to the one that reported it."""

from __future__ import annotations

import datetime as dt
import uuid

import msgspec
import pytest
from django.utils import timezone

from drift.fleet.actions import heartbeats
from drift.fleet.models import Sensor, SensorLoss
from sensor import wire
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]
START = dt.datetime(2026, 11, 29, 10, 0, tzinfo=dt.UTC)


@pytest.fixture
def sensor(db: None) -> Sensor:
    return estate.sensor(estate.cluster(), enrolled_at=START)[0]


def beat(sensor_id: uuid.UUID, minutes: int, lost: int) -> None:
    """Write a heartbeat that arrived so many minutes after the start."""
    row = heartbeats.StatusRow(
        sensor_id,
        START + dt.timedelta(minutes=minutes),
        *("0.2.0", "", "ebpf", [], wire.Counters(), lost, None, [], 0),
    )
    heartbeats._write([msgspec.json.encode(row)])


def losses(sensor: Sensor) -> list[tuple[int, int, int]]:
    """Return the minutes of each period, and what was lost in it."""
    rows = SensorLoss.objects.filter(sensor=sensor).order_by("hour").values_list("since", "until", "lost")
    return [(_minutes(since), _minutes(until), lost) for since, until, lost in rows]


def _minutes(at: dt.datetime) -> int:
    return int((at - START).total_seconds()) // 60


def test_what_is_lost_lies_between_two_heartbeats(sensor: Sensor) -> None:
    beat(sensor.pk, 1, 0)
    beat(sensor.pk, 2, 0)
    assert losses(sensor) == []
    beat(sensor.pk, 3, 4)
    beat(sensor.pk, 4, 4)
    assert losses(sensor) == [(2, 3, 4)]
    beat(sensor.pk, 30, 9)
    assert losses(sensor) == [(2, 30, 9)]
    beat(sensor.pk, 90, 10)
    assert losses(sensor) == [(2, 30, 9), (30, 90, 1)]


def test_a_first_heartbeat_may_report_what_was_lost_since_the_enrolment(sensor: Sensor) -> None:
    beat(sensor.pk, 5, 2)
    assert losses(sensor) == [(0, 5, 2)]


def test_a_process_that_started_again_counts_from_zero(sensor: Sensor) -> None:
    beat(sensor.pk, 1, 10)
    beat(sensor.pk, 61, 3)
    assert losses(sensor) == [(0, 1, 10), (1, 61, 3)]
    beat(sensor.pk, 62, 0)
    assert losses(sensor) == [(0, 1, 10), (1, 61, 3)]


def test_an_older_heartbeat_that_is_written_late_adds_nothing(sensor: Sensor) -> None:
    beat(sensor.pk, 10, 1)
    beat(sensor.pk, 9, 8)
    assert losses(sensor) == [(0, 10, 1)]


def test_losses_go_with_the_events_of_their_time(sensor: Sensor) -> None:
    now = timezone.now()
    for days in (3, 33):
        at = now - dt.timedelta(days=days)
        SensorLoss.objects.create(sensor=sensor, hour=at, since=at, until=at, lost=1)
    heartbeats.delete_old_losses()
    assert [(now - loss.until).days for loss in SensorLoss.objects.all()] == [3]
