"""A rollout until every sensor has acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.utils import timezone

from drift.fleet.actions import delivery, rollouts, sensors
from drift.fleet.domain.push_messages import PushMessage
from drift.fleet.models import (
    Cluster,
    Delivery,
    DeliveryState,
    EnrolmentToken,
    Environment,
    FleetState,
    Rollout,
    SensorState,
)
from drift.policy.models import PolicyVersion
from sensor import wire
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]

Committed = Callable[[], AbstractContextManager[None]]
Queued = list[tuple[str, tuple[Any, ...]]]


@pytest.fixture(autouse=True)
def _no_redis(pushed: list[PushMessage], queued: Queued) -> None:
    """Nothing here reaches a broker or a gateway."""


def test_saving_a_version_creates_its_rollout_in_the_same_transaction(admin: Any) -> None:
    from drift.policy.actions.versions import save_document

    document = PolicyVersion.objects.get(pk=1).document | {"default": {"action": "alert"}}

    saved = save_document(admin, document, 1)

    assert Rollout.objects.get(version=saved.version).spread_at is None


def test_a_small_fleet_is_reached_in_one_chunk(
    cluster: Cluster, token: EnrolmentToken, pushed: list[PushMessage], committed: Committed
) -> None:
    fleet = estate.fleet_of(cluster, token, 3)
    estate.version(2)

    with committed():
        rollouts.start_rollout(2)

    assert estate.desired() == [2, 2, 2]
    assert Rollout.objects.get(version=2).spread_at is not None
    [message] = pushed
    assert (message.number, message.sensors) == (2, [str(sensor.pk) for sensor in fleet])
    assert len(message.etag) == 64
    assert set(Delivery.objects.values_list("state", flat=True)) == {DeliveryState.PENDING}


def test_a_larger_fleet_is_reached_chunk_by_chunk_in_id_order(
    cluster: Cluster,
    token: EnrolmentToken,
    pushed: list[PushMessage],
    queued: Queued,
    committed: Committed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rollouts, "CHUNK", 2)
    estate.fleet_of(cluster, token, 5)
    estate.version(2)

    with committed():
        rollouts.start_rollout(2)
    assert estate.desired() == [2, 2, 1, 1, 1]
    while queued:
        _, (rollout,) = queued.pop()
        with committed():
            rollouts.spread_chunk(rollout)

    assert estate.desired() == [2] * 5
    assert [len(message.sensors or []) for message in pushed] == [2, 2, 1]


def test_the_epoch_rises_once_all_chunks_are_sent(
    cluster: Cluster, token: EnrolmentToken, pushed: list[PushMessage], committed: Committed
) -> None:
    estate.fleet_of(cluster, token, 1)
    estate.version(2)
    before = FleetState.objects.get().epoch

    with committed():
        rollouts.start_rollout(2)
        rollouts.start_rollout(2)

    assert FleetState.objects.get().epoch == before + 1
    assert pushed[-1].epoch == before + 1


def test_a_large_fleet_is_notified_at_once_and_fetches_gradually(
    cluster: Cluster,
    token: EnrolmentToken,
    pushed: list[PushMessage],
    committed: Committed,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rollouts, "CHUNK", 2)
    settings.SENSOR_ASKS_PER_SECOND = 2
    estate.fleet_of(cluster, token, 3)
    estate.version(2)

    with committed():
        rollouts.start_rollout(2)
        rollouts.spread_chunk(Rollout.objects.get(version=2).pk)

    assert [(len(message.sensors or ()), message.within) for message in pushed] == [(2, 1.5), (1, 1.5)]


def test_spreading_twice_has_no_further_effect(
    cluster: Cluster, token: EnrolmentToken, pushed: list[PushMessage], committed: Committed
) -> None:
    estate.fleet_of(cluster, token, 2)
    estate.version(2)

    for _ in range(3):
        with committed():
            rollouts.start_rollout(2)

    assert Delivery.objects.count() == 2
    assert len(pushed) == 1


def test_sensors_that_have_ended_are_left_out(cluster: Cluster, token: EnrolmentToken) -> None:
    estate.sensor(cluster, "gone", token, state=SensorState.REVOKED, ended_at=timezone.now())
    estate.version(2)

    rollouts.start_rollout(2)

    assert estate.desired() == [1]
    assert not Delivery.objects.exists()


def test_a_newer_version_supersedes_open_deliveries_and_ends_the_older_spread(
    cluster: Cluster, token: EnrolmentToken
) -> None:
    estate.fleet_of(cluster, token, 2)
    estate.version(2)
    rollouts.start_rollout(2)
    estate.version(3)
    rollouts.start_rollout(3)
    rollouts.start_rollout(2)

    assert estate.desired() == [3, 3]
    states = Delivery.objects.order_by("rollout__version").values_list("rollout__version", "state")
    assert list(states) == [(2, "superseded")] * 2 + [(3, "pending")] * 2


def test_an_older_version_never_replaces_a_newer_one(cluster: Cluster, token: EnrolmentToken) -> None:
    [sensor] = estate.fleet_of(cluster, token, 1)
    estate.version(2)
    estate.version(3)
    delivery.set_desired_version([sensor.pk], 3)

    assert delivery.set_desired_version([sensor.pk], 2) == []
    assert estate.desired() == [3]
    assert not Delivery.objects.filter(rollout__version=2).exists()


def test_a_rollout_is_finished_once_every_sensor_has_acknowledged_or_rejected(
    cluster: Cluster, token: EnrolmentToken
) -> None:
    one, two = estate.fleet_of(cluster, token, 2)
    estate.version(2)
    rollouts.start_rollout(2)
    Delivery.objects.filter(sensor=one).update(state=DeliveryState.APPLIED)

    rollouts.sweep()
    assert Rollout.objects.get(version=2).finished_at is None

    Delivery.objects.filter(sensor=two).update(state=DeliveryState.REJECTED)
    rollouts.sweep()
    assert Rollout.objects.get(version=2).finished_at is not None


def test_a_rollout_does_not_wait_for_sensors_that_are_switched_off_or_revoked(
    cluster: Cluster, token: EnrolmentToken, admin: Any
) -> None:
    off = estate.cluster(estate.environment("aws", "1"))
    estate.sensor(off)
    [revoked] = estate.fleet_of(cluster, token, 1)
    estate.version(2)
    rollouts.start_rollout(2)

    Environment.objects.filter(provider="aws").update(sensor_enabled=False)
    sensors.revoke_sensor(admin, revoked)
    rollouts.sweep()

    assert Rollout.objects.get(version=2).finished_at is not None
    assert Delivery.objects.get(sensor=revoked).state == DeliveryState.SUPERSEDED


@pytest.mark.django_db(transaction=True)
def test_concurrent_workers_and_sweeps_give_each_sensor_one_delivery(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rollouts, "CHUNK", 4)
    cluster = estate.cluster()
    fleet = estate.fleet_of(cluster, estate.token(cluster.environment)[0], 30)
    policy = estate.version(2)
    rollout = rollouts.open_rollout(policy)
    report = wire.PolicyStatus(2, policy.digest, "applied")

    def work(place: int) -> None:
        for sensor in fleet if place % 2 else reversed(fleet):
            if place < 3:
                rollouts.spread_chunk(rollout.pk)
            elif place < 5:
                rollouts.sweep()
            else:
                delivery.record_status(sensor, report)

    estate.together(7, work)
    # A run that finds the rollout locked does nothing, so all may end before the last chunk: the queue,
    # which these tests do not run, would have started that one.
    while Rollout.objects.filter(pk=rollout.pk, spread_at=None).exists():
        rollouts.spread_chunk(rollout.pk)
    for sensor in fleet:
        delivery.record_status(sensor, report)
    rollouts.sweep()

    assert estate.desired() == [2] * 30
    assert list(Delivery.objects.filter(rollout=rollout).values_list("state", flat=True)) == ["applied"] * 30
    rollout.refresh_from_db()
    assert rollout.finished_at is not None
