"""Unresponsive sensors and old deliveries."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from drift.fleet.actions import delivery, rollouts, sensors
from drift.fleet.models import Cluster, Delivery, DeliveryState, Environment, Rollout, Sensor, SensorState, SensorStatus
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]

NOW = dt.timedelta(0)


@pytest.fixture(autouse=True)
def _no_redis(pushed: Any, queued: Any) -> None:
    """Nothing here reaches a broker or a gateway."""


@pytest.fixture
def cluster() -> Cluster:
    return estate.cluster()


def seen(cluster: Cluster, node: str, ago: dt.timedelta = NOW, **status: Any) -> tuple[Sensor, str]:
    sensor, credential = estate.sensor(cluster, node)
    SensorStatus.objects.create(sensor=sensor, last_seen_at=timezone.now() - ago, **status)
    return sensor, credential


def test_a_node_without_heartbeats_for_a_day_retires_and_its_rollout_finishes(cluster: Cluster) -> None:
    gone, _ = seen(cluster, "gone", dt.timedelta(hours=25))
    here, _ = seen(cluster, "here", dt.timedelta(hours=23))
    estate.version(2)
    rollouts.start_rollout(2)
    Delivery.objects.filter(sensor=here).update(state=DeliveryState.APPLIED)

    assert sensors.retire_silent_sensors() == 1
    assert sensors.retire_silent_sensors() == 0
    rollouts.sweep()

    gone.refresh_from_db()
    here.refresh_from_db()
    assert (gone.state, here.state) == (SensorState.RETIRED, SensorState.LIVE)
    assert Rollout.objects.get(version=2).finished_at is not None
    assert AuditEntry.objects.get(verb="retired").object_name == "1 silent sensors"


def test_sensors_of_an_environment_that_is_off_do_not_retire(cluster: Cluster) -> None:
    seen(cluster, "refused", dt.timedelta(days=30))
    Environment.objects.update(sensor_enabled=False)

    assert sensors.retire_silent_sensors() == 0


def test_a_retired_node_that_returns_is_live_on_the_newest_version(cluster: Cluster) -> None:
    sensor, credential = seen(cluster, "away", dt.timedelta(days=2))
    sensors.retire_silent_sensors()
    estate.version(2)
    rollouts.start_rollout(2)

    answer = estate.as_sensor(credential).get(estate.POLICY)

    sensor.refresh_from_db()
    assert (answer.status_code, sensor.state, sensor.ended_at) == (200, SensorState.LIVE, None)
    assert sensor.desired_version_id == 2
    entry = AuditEntry.objects.get(verb="revived")
    assert (entry.object_id, entry.after, entry.address) == (str(sensor.pk), {"state": "live"}, "127.0.0.1")


def test_a_retired_node_that_was_replaced_stays_retired(cluster: Cluster) -> None:
    _, credential = seen(cluster, "node-1", dt.timedelta(days=2))
    sensors.retire_silent_sensors()
    estate.sensor(cluster, "node-1")

    assert estate.as_sensor(credential).get(estate.POLICY).status_code == 401
    assert not AuditEntry.objects.filter(verb="revived").exists()


def test_deliveries_of_the_last_twenty_versions_are_kept(cluster: Cluster) -> None:
    sensor, _ = estate.sensor(cluster)
    for number in range(2, 25):
        Delivery.objects.create(rollout=Rollout.objects.create(version=estate.version(number)), sensor=sensor)

    delivery.prune_deliveries()

    kept = Delivery.objects.order_by("rollout__version").values_list("rollout__version", flat=True)
    assert list(kept) == list(range(5, 25))
