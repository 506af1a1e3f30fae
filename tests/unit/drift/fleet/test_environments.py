"""Environments switched or retired, sensors revoked or released: which sensors are notified."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEntry
from drift.fleet.actions import environments as environment_actions
from drift.fleet.actions import pushes, rollouts, sensors
from drift.fleet.domain.push_messages import PushMessage
from drift.fleet.models import Cluster, EnrolmentToken, Environment, FleetState, SensorState
from portal.gateway.streams import SensorStream, Streams
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]

Committed = Callable[[], AbstractContextManager[None]]
Queued = list[tuple[str, tuple[Any, ...]]]


@pytest.fixture(autouse=True)
def _no_redis(pushed: list[PushMessage], queued: Queued) -> None:
    """Nothing here reaches a broker or a gateway."""


@pytest.mark.parametrize("change", ["switched", "retired", "restored"])
def test_sensors_of_a_switched_or_retired_environment_fetch_at_once(
    cluster: Cluster,
    token: EnrolmentToken,
    admin: Any,
    pushed: list[PushMessage],
    queued: Queued,
    committed: Committed,
    change: str,
) -> None:
    [sensor] = estate.fleet_of(cluster, token, 1)
    estate.sensor(estate.cluster(estate.environment("aws", "1")))
    environment = cluster.environment
    if change == "restored":
        environment_actions.retire_environment(admin, environment)
    epoch = FleetState.objects.get().epoch

    with committed():
        if change == "switched":
            environment_actions.switch_sensor(admin, environment, on=False)
        elif change == "retired":
            environment_actions.retire_environment(admin, environment)
        else:
            environment_actions.restore_environment(admin, environment)
    assert queued[-1] == (pushes.PUSH_ENVIRONMENT, (environment.pk,))
    with committed():
        pushes.push_environment(environment.pk)

    assert [(message.sensors, message.epoch) for message in pushed] == [([str(sensor.pk)], epoch + 1)]


def test_a_gateway_that_misses_a_switch_makes_all_sensors_fetch_within_a_sweep(
    cluster: Cluster, token: EnrolmentToken, admin: Any, pushed: list[PushMessage], committed: Committed
) -> None:
    estate.fleet_of(cluster, token, 1)
    rollouts.sweep()
    streams, stream = Streams(), SensorStream("a-sensor")
    streams.add(stream)
    streams.take(pushed.pop())
    before = streams.keepalive()
    with committed():
        environment_actions.switch_sensor(admin, cluster.environment, on=False)
    pushed.clear()

    rollouts.sweep()
    for message in pushed:
        streams.take(message)

    assert streams.keepalive() != before


def test_switching_an_environment_without_sensors_notifies_none(
    cluster: Cluster, token: EnrolmentToken, admin: Any, pushed: list[PushMessage], committed: Committed
) -> None:
    estate.fleet_of(cluster, token, 1)
    epoch = FleetState.objects.get().epoch

    with committed():
        environment_actions.switch_sensor(admin, estate.environment("aws", "2"), on=False)

    assert FleetState.objects.get().epoch == epoch


def test_renaming_an_environment_notifies_no_sensor(
    cluster: Cluster, admin: Any, queued: Queued, committed: Committed
) -> None:
    with committed():
        environment_actions.rename_environment(admin, cluster.environment, "Other")

    assert queued == []


def test_ending_a_sensor_closes_its_stream_and_is_recorded_once(
    cluster: Cluster, token: EnrolmentToken, admin: Any, pushed: list[PushMessage], committed: Committed
) -> None:
    [sensor] = estate.fleet_of(cluster, token, 1)

    with committed():
        assert sensors.revoke_sensor(admin, sensor) is True
        assert sensors.revoke_sensor(admin, sensor) is False

    assert [message.closed for message in pushed] == [[str(sensor.pk)]]
    assert AuditEntry.objects.filter(verb="revoked").count() == 1
    assert sensors.release_sensor(admin, sensor) is True
    sensor.refresh_from_db()
    assert sensor.state == SensorState.RELEASED


@pytest.mark.django_db(transaction=True)
def test_a_concurrent_revoke_and_release_are_recorded_once(admin: Any) -> None:
    sensor, _ = estate.sensor(estate.cluster())

    ends = estate.together(4, lambda place: (sensors.revoke_sensor, sensors.release_sensor)[place % 2](admin, sensor))

    sensor.refresh_from_db()
    assert sensor.state == SensorState.RELEASED
    assert AuditEntry.objects.filter(object_type="sensor").count() == sum(ends)
    assert ends.count(True) in {1, 2}


def test_administrators_see_which_environments_of_the_second_approver_do_not_exist(
    admin: Any, reader: Any, client_of: Callable[[Any], Client], settings: Any
) -> None:
    Environment.objects.get_or_create(provider="azure", account="sub-1", defaults={"name": "One"})
    settings.SECOND_APPROVER = "blocking"
    settings.SECOND_APPROVER_ENVIRONMENTS = [("azure", "sub-1"), ("azure", "Sub-1")]
    shown = client_of(admin).get("/settings/health/").text
    assert "azure:Sub-1, which is not an environment" in shown
    assert "azure:sub-1," not in shown
    assert "is not an environment" not in client_of(reader).get("/settings/health/").text
    settings.SECOND_APPROVER = "none"
    assert "is not an environment" not in client_of(admin).get("/settings/health/").text
