"""Heartbeats: held and then written in bulk, or written at once if no flush runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis
from django.db import ProgrammingError

from drift import queue
from drift.fleet.actions import heartbeats, sensor_processes
from drift.fleet.models import Sensor, SensorStatus
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _alone(pushed: Any, queued: Any, nothing_held: None) -> None:
    """Nothing here reaches a broker or a gateway."""


@pytest.fixture
def sensor() -> tuple[Sensor, str]:
    return estate.sensor(estate.cluster())


def beat(credential: str, **fields: Any) -> None:
    answer = estate.as_sensor(credential).post(
        estate.HEARTBEAT, json.dumps(estate.beat(**fields)), content_type="application/json"
    )
    assert answer.status_code == 200, answer.content


def lost(**causes: int) -> dict[str, Any]:
    return {"counters": {"execs": 9, "lost": causes}}


def test_before_the_first_flush_a_heartbeat_is_written_at_once(sensor: tuple[Sensor, str]) -> None:
    beat(sensor[1])

    assert SensorStatus.objects.get().backend == "ebpf"


def test_once_flushes_run_it_waits_for_the_next_one(sensor: tuple[Sensor, str]) -> None:
    heartbeats.flush_heartbeats()
    beat(sensor[1], capabilities=["ebpf", "block"], backend="first")
    beat(sensor[1], capabilities=["ebpf", "block"], backend="last")
    assert not SensorStatus.objects.exists()

    assert heartbeats.flush_heartbeats() == 1

    status = SensorStatus.objects.get()
    assert (status.backend, status.capabilities, status.counters["lost"]) == ("last", ["ebpf", "block"], {"ring": 1})
    assert heartbeats.flush_heartbeats() == 0


def test_without_redis_a_heartbeat_is_written_at_once_and_redis_is_not_retried(
    sensor: tuple[Sensor, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def away() -> redis.Redis:
        asked.append(1)
        return redis.Redis.from_url("redis://127.0.0.1:1/0", retry=None)

    monkeypatch.setattr(queue, "redis_client", away)

    beat(sensor[1], backend="one")
    beat(sensor[1], backend="two")

    assert SensorStatus.objects.get().backend == "two"
    assert len(asked) == 1
    assert heartbeats.flush_heartbeats() == 0


def test_heartbeats_taken_by_a_killed_flush_are_written_by_the_next(sensor: tuple[Sensor, str]) -> None:
    heartbeats.flush_heartbeats()
    beat(sensor[1], backend="taken")
    queue.redis_client().rename(heartbeats.HELD, heartbeats.TAKEN)

    assert heartbeats.flush_heartbeats() == 1

    assert SensorStatus.objects.get().backend == "taken"


def test_an_older_heartbeat_never_replaces_a_newer(sensor: tuple[Sensor, str]) -> None:
    heartbeats.flush_heartbeats()
    beat(sensor[1], backend="older")
    held = queue.redis_client().hget(heartbeats.HELD, str(sensor[0].pk))
    beat(sensor[1], backend="newer")
    heartbeats.flush_heartbeats()

    queue.redis_client().hset(heartbeats.HELD, str(sensor[0].pk), held)
    heartbeats.flush_heartbeats()

    assert SensorStatus.objects.get().backend == "newer"


def test_heartbeats_of_ended_sensors_do_not_block_others(sensor: tuple[Sensor, str]) -> None:
    heartbeats.flush_heartbeats()
    beat(sensor[1])
    other, credential = estate.sensor(sensor[0].cluster, "other", sensor[0].enrolment_token)
    beat(credential)
    Sensor.objects.filter(pk=other.pk).delete()

    heartbeats.flush_heartbeats()

    assert SensorStatus.objects.get().sensor_id == sensor[0].pk


def test_losses_are_dated_when_they_grow_and_not_when_the_sensor_restarts(sensor: tuple[Sensor, str]) -> None:
    beat(sensor[1], **lost(ring=5))
    assert SensorStatus.objects.get().lost_at is None

    beat(sensor[1], **lost(ring=5, spool_full=1))
    grown = SensorStatus.objects.get()
    assert (grown.lost_total, grown.lost_at) == (6, grown.last_seen_at)

    beat(sensor[1], **lost())
    again = SensorStatus.objects.get()
    assert (again.lost_total, again.lost_at) == (0, grown.lost_at)


def test_losses_are_capped_at_the_maximum_of_the_column(sensor: tuple[Sensor, str]) -> None:
    beat(sensor[1], **lost(a=2**63 - 1, b=2**63 - 1))

    assert SensorStatus.objects.get().lost_total == heartbeats.MAX_LOST_TOTAL


def test_a_heartbeat_that_cannot_be_stored_does_not_block_others(
    sensor: tuple[Sensor, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = estate.sensor(sensor[0].cluster, node="other")
    heartbeats.flush_heartbeats()
    beat(sensor[1])
    with monkeypatch.context() as wrong:
        wrong.setattr(heartbeats, "MAX_LOST_TOTAL", 2**64)
        beat(other[1], **lost(a=2**63 - 1, b=2**63 - 1))

    heartbeats.flush_heartbeats()

    assert SensorStatus.objects.get().sensor_id == sensor[0].pk
    assert not queue.redis_client().exists(heartbeats.TAKEN)


@pytest.mark.parametrize("raw", [b"{", b'{"run":"\xff"}', b'{"more":' + b"[" * 10_000 + b"]" * 10_000 + b"}"])
def test_what_somebody_else_writes_in_redis_does_not_keep_heartbeats_from_being_written(
    sensor: tuple[Sensor, str], raw: bytes
) -> None:
    client = queue.redis_client()
    heartbeats.flush_heartbeats()
    beat(sensor[1])
    for key in (heartbeats.HELD, sensor_processes.HELD):
        client.hset(key, "made up", raw)

    heartbeats.flush_heartbeats()

    assert SensorStatus.objects.get().sensor_id == sensor[0].pk
    assert not client.exists(heartbeats.TAKEN, sensor_processes.TAKEN)


def test_rows_of_real_sensors_that_somebody_else_writes_in_redis_do_not_hold_up_others(
    sensor: tuple[Sensor, str],
) -> None:
    client = queue.redis_client()
    other = estate.sensor(sensor[0].cluster, node="other")
    heartbeats.flush_heartbeats()
    beat(sensor[1])
    held = client.hget(heartbeats.HELD, str(sensor[0].pk))
    # The same sensor under two names, columns missing, and deeper than PostgreSQL reads.
    client.hset(heartbeats.HELD, "again", held)
    client.hset(heartbeats.HELD, "little", json.dumps({"sensor_id": str(other[0].pk)}))
    client.hset(heartbeats.HELD, "deep", "[" * 1_000_000 + "]" * 1_000_000)

    heartbeats.flush_heartbeats()

    assert SensorStatus.objects.get().sensor_id == sensor[0].pk
    assert not client.exists(heartbeats.TAKEN)


def test_a_flush_that_the_database_cannot_serve_keeps_what_is_held(
    sensor: tuple[Sensor, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeats.flush_heartbeats()
    beat(sensor[1])
    with monkeypatch.context() as wrong:
        wrong.setattr(heartbeats, "_UPSERT", "SELECT * FROM not_migrated_yet WHERE %s::bytea IS NOT NULL")
        with pytest.raises(ProgrammingError):
            heartbeats.flush_heartbeats()

    heartbeats.flush_heartbeats()

    assert SensorStatus.objects.get().sensor_id == sensor[0].pk


def test_a_held_heartbeat_that_cannot_be_read_has_no_time(sensor: tuple[Sensor, str]) -> None:
    queue.redis_client().hset(heartbeats.HELD, str(sensor[0].pk), b'{"last_seen_at":"\xff"}')
    assert heartbeats.held_since(sensor[0]) is None


def test_containers_that_are_monitored_in_part_are_kept_as_the_last_heartbeat_names_them(
    sensor: tuple[Sensor, str],
) -> None:
    beat(sensor[1], gaps=[{"container_id": "a1", "reason": "no_layers", "filesystem": "ext4"}], gap_count=3)
    status = SensorStatus.objects.get()
    assert (status.gaps[0]["container_id"], status.gap_count) == ("a1", 3)

    beat(sensor[1])
    status.refresh_from_db()
    assert (status.gaps, status.gap_count) == ([], 0)


def test_a_heartbeat_that_the_portal_of_the_release_before_held_is_written(sensor: tuple[Sensor, str]) -> None:
    heartbeats.flush_heartbeats()
    beat(sensor[1], backend="held")
    client = queue.redis_client()
    raw = json.loads(client.hget(heartbeats.HELD, str(sensor[0].pk)) or "{}")
    del raw["gaps"], raw["gap_count"], raw["paused_rules"]
    client.hset(heartbeats.HELD, str(sensor[0].pk), json.dumps(raw))

    assert heartbeats.flush_heartbeats() == 1
    status = SensorStatus.objects.get()
    assert (status.backend, status.gaps, status.gap_count, status.paused_rules) == ("held", [], 0, [])


def test_rules_whose_blocking_is_paused_are_kept_as_the_last_heartbeat_names_them(sensor: tuple[Sensor, str]) -> None:
    beat(sensor[1], paused_rules=[{"rule": "r1", "workloads": 5}])
    assert SensorStatus.objects.get().paused_rules == [{"rule": "r1", "workloads": 5}]
    beat(sensor[1])
    assert SensorStatus.objects.get().paused_rules == []
