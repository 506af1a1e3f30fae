"""A shared credential raises a notice; a restart, a new pod or another address does not."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from drift import queue
from drift.fleet.actions import heartbeats, sensor_processes
from drift.fleet.models import Cluster, Sensor, SensorStatus
from tests.unit.drift.fleet import estate
from tests.unit.drift.health.found import of_sensors

pytestmark = [pytest.mark.services, pytest.mark.django_db]

Enrolled = tuple[Sensor, Client]


@pytest.fixture(autouse=True)
def _alone(pushed: Any, queued: Any, nothing_held: None) -> None:
    """Nothing here reaches a broker or a gateway."""


@pytest.fixture
def sensor(cluster: Cluster) -> Enrolled:
    row, credential = estate.sensor(cluster)
    estate.seen(row)
    return row, estate.as_sensor(credential)


def beats(client: Client, *runs: str, **more: Any) -> None:
    for run in runs:
        answer = client.post(
            estate.HEARTBEAT, json.dumps(estate.beat(run_id=run)), content_type="application/json", **more
        )
        assert answer.status_code == 200, answer.content


def asks(client: Client, *runs: str | None) -> None:
    """Request a ticket; None sends no body, as older sensors do."""
    for run in runs:
        body = "" if run is None else json.dumps({"run_id": run})
        answer = client.post(estate.TICKET, body, content_type="application/json")
        assert answer.status_code == 200, answer.content


def noticed(reading: Client) -> list[str]:
    """Return the nodes in the notice of shared credentials."""
    found = [pk for notice in of_sensors(reading) if notice["code"] == "shared" for pk in notice["sensors"]]
    return list(Sensor.objects.filter(pk__in=found).values_list("node", flat=True))


def test_two_alternating_processes_raise_a_notice_with_advice(sensor: Enrolled, reading: Client) -> None:
    beats(sensor[1], "a", "b", "a", "b")
    assert noticed(reading) == []

    beats(sensor[1], "a")

    assert noticed(reading) == ["node-1"]
    assert "Revoke, release, and enrol again" in estate.text_of(reading.get("/settings/health/"))


@pytest.mark.parametrize("processes", [3, 5, sensor_processes.EARLIER_RUNS + 2])
def test_more_alternating_processes_raise_the_notice_too(sensor: Enrolled, reading: Client, processes: int) -> None:
    names = [f"run{number}" for number in range(processes)]
    beats(sensor[1], *names, *names[:2])
    assert noticed(reading) == []

    beats(sensor[1], names[2])

    assert noticed(reading) == ["node-1"]


def test_of_endless_processes_only_the_last_few_are_kept(sensor: Enrolled) -> None:
    beats(sensor[1], *(f"run{number}" for number in range(20)))
    assert SensorStatus.objects.get().earlier_runs == [f"run{number}" for number in range(17, 10, -1)]


def test_a_stolen_credential_that_only_opens_streams_is_noticed(sensor: Enrolled, reading: Client) -> None:
    for _ in range(3):
        beats(sensor[1], "mine")
        asks(sensor[1], None)
    assert noticed(reading) == ["node-1"]


def test_two_streams_from_two_processes_are_noticed(sensor: Enrolled, reading: Client) -> None:
    asks(sensor[1], *["mine", "thiefs"] * 3)
    assert noticed(reading) == ["node-1"]


def test_a_restarting_sensor_is_one_process_at_a_time(sensor: Enrolled, reading: Client) -> None:
    for number in range(20):
        asks(sensor[1], f"run{number}")
        beats(sensor[1], f"run{number}", f"run{number}")
    assert noticed(reading) == []


def test_another_address_is_not_another_process(sensor: Enrolled, reading: Client) -> None:
    for last in range(10):
        beats(sensor[1], "a", REMOTE_ADDR=f"10.0.0.{last % 2}", HTTP_X_FORWARDED_FOR=f"192.0.2.{last}")
    assert noticed(reading) == []


def test_the_last_heartbeat_of_a_replaced_process_is_not_suspicious(sensor: Enrolled, reading: Client) -> None:
    beats(sensor[1], "old", "new", "old", "new", "new")
    assert noticed(reading) == []


def test_older_sensors_without_a_process_id_are_not_suspected(sensor: Enrolled, reading: Client) -> None:
    for _ in range(5):
        beats(sensor[1], "")
        asks(sensor[1], None)
    beats(sensor[1], "updated")
    assert noticed(reading) == []


def test_heartbeats_that_are_flushed_together_reveal_it_too(sensor: Enrolled, reading: Client) -> None:
    heartbeats.flush_heartbeats()
    for _ in range(5):
        beats(sensor[1], "a", "b")
        heartbeats.flush_heartbeats()
    assert noticed(reading) == ["node-1"]
    assert SensorStatus.objects.get().run_id == "b"


def test_within_one_flush_only_so_many_processes_are_held(sensor: Enrolled) -> None:
    heartbeats.flush_heartbeats()
    beats(sensor[1], *(f"aa{number}" for number in range(20)))
    assert queue.redis_client().hlen(sensor_processes.HELD) == 1


def test_the_notice_ends_an_hour_after_the_last_alternation(sensor: Enrolled, reading: Client) -> None:
    beats(sensor[1], "a", "b", "a", "b", "a")
    long_ago = timezone.now() - dt.timedelta(hours=1, minutes=1)
    SensorStatus.objects.update(returned_at=long_ago)
    assert noticed(reading) == []

    beats(sensor[1], "b", "c")

    assert SensorStatus.objects.get().returns == 1
