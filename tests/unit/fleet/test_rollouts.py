"""Spreading a version, and sweeping up."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from drift.fleet import push
from drift.fleet.actions import blocking, delivery, rollouts, sensors, waves
from drift.fleet.actions import estate as environment_actions
from drift.fleet.models import (
    Cluster,
    Delivery,
    DeliveryState,
    EnrolmentToken,
    Environment,
    FleetState,
    Rollout,
    Sensor,
    SensorState,
)
from drift.policy.models import PolicyVersion
from sensor import wire
from tests.unit.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]

Committed = Callable[[], AbstractContextManager[None]]
Queued = list[tuple[str, tuple[Any, ...]]]


@pytest.fixture(autouse=True)
def _no_redis(pushed: list[push.Message], queued: Queued) -> None:
    """Nothing here reaches a broker or a gateway."""


@pytest.fixture
def cluster() -> Cluster:
    return estate.cluster()


@pytest.fixture
def token(cluster: Cluster) -> EnrolmentToken:
    return estate.token(cluster.environment)[0]


def fleet_of(cluster: Cluster, token: EnrolmentToken, count: int) -> list[Sensor]:
    rows = [estate.sensor(cluster, f"node-{number}", token)[0] for number in range(count)]
    return sorted(rows, key=lambda row: row.pk)


def desired() -> list[int | None]:
    return list(Sensor.objects.order_by("pk").values_list("desired_version_id", flat=True))


def test_saving_a_version_makes_its_rollout_in_the_same_transaction(admin: Any) -> None:
    from drift.policy.actions import save_document

    document = PolicyVersion.objects.get(pk=1).document | {"default": {"action": "alert"}}

    saved = save_document(admin, document, 1)

    assert Rollout.objects.get(version=saved.version).spread_at is None


def test_a_small_fleet_is_reached_in_one_chunk(
    cluster: Cluster, token: EnrolmentToken, pushed: list[push.Message], committed: Committed
) -> None:
    fleet = fleet_of(cluster, token, 3)
    estate.version(2)

    with committed():
        rollouts.start_rollout(2)

    assert desired() == [2, 2, 2]
    assert Rollout.objects.get(version=2).spread_at is not None
    [message] = pushed
    assert (message.number, message.sensors) == (2, [str(sensor.pk) for sensor in fleet])
    assert len(message.etag) == 64
    assert set(Delivery.objects.values_list("state", flat=True)) == {DeliveryState.PENDING}


def test_a_larger_fleet_is_reached_chunk_by_chunk_in_id_order(
    cluster: Cluster,
    token: EnrolmentToken,
    pushed: list[push.Message],
    queued: Queued,
    committed: Committed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rollouts, "CHUNK", 2)
    fleet_of(cluster, token, 5)
    estate.version(2)

    with committed():
        rollouts.start_rollout(2)
    assert desired() == [2, 2, 1, 1, 1]
    while queued:
        _, (rollout,) = queued.pop()
        with committed():
            rollouts.spread_chunk(rollout)

    assert desired() == [2] * 5
    assert [len(message.sensors or []) for message in pushed] == [2, 2, 1]


def test_the_epoch_rises_once_all_are_spread(
    cluster: Cluster, token: EnrolmentToken, pushed: list[push.Message], committed: Committed
) -> None:
    fleet_of(cluster, token, 1)
    estate.version(2)
    before = FleetState.objects.get().epoch

    with committed():
        rollouts.start_rollout(2)
        rollouts.start_rollout(2)

    assert FleetState.objects.get().epoch == before + 1
    assert pushed[-1].epoch == before + 1


def test_spreading_twice_changes_nothing_more(
    cluster: Cluster, token: EnrolmentToken, pushed: list[push.Message], committed: Committed
) -> None:
    fleet_of(cluster, token, 2)
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

    assert desired() == [1]
    assert not Delivery.objects.exists()


def test_a_newer_version_supersedes_what_was_open_and_ends_the_older_spread(
    cluster: Cluster, token: EnrolmentToken
) -> None:
    fleet_of(cluster, token, 2)
    estate.version(2)
    rollouts.start_rollout(2)
    estate.version(3)
    rollouts.start_rollout(3)
    rollouts.start_rollout(2)

    assert desired() == [3, 3]
    states = Delivery.objects.order_by("rollout__version").values_list("rollout__version", "state")
    assert list(states) == [(2, "superseded")] * 2 + [(3, "pending")] * 2


def test_an_older_version_never_takes_the_place_of_a_newer(cluster: Cluster, token: EnrolmentToken) -> None:
    [sensor] = fleet_of(cluster, token, 1)
    estate.version(2)
    estate.version(3)
    delivery.want([sensor.pk], 3)

    assert delivery.want([sensor.pk], 2) == []
    assert desired() == [3]
    assert not Delivery.objects.filter(rollout__version=2).exists()


def test_the_sweeper_starts_versions_whose_message_was_lost(queued: Queued) -> None:
    estate.version(2)

    rollouts.sweep()

    assert Rollout.objects.filter(version=2).exists()
    assert (waves.SPREAD_CHUNK, (Rollout.objects.get(version=2).pk,)) in queued


def test_the_sweeper_goes_on_with_a_spread_that_stands_still_and_leaves_a_running_one(queued: Queued) -> None:
    rollouts.sweep()
    queued.clear()
    running = Rollout.objects.create(version=estate.version(2))
    rollouts.sweep()
    assert (waves.SPREAD_CHUNK, (running.pk,)) not in queued

    Rollout.objects.update(progress_at=timezone.now() - dt.timedelta(seconds=11))
    rollouts.sweep()

    assert (waves.SPREAD_CHUNK, (running.pk,)) in queued


def test_the_sweeper_mends_a_sensor_that_enrolled_during_a_save(
    cluster: Cluster, token: EnrolmentToken, pushed: list[push.Message], committed: Committed
) -> None:
    estate.version(2)
    rollouts.start_rollout(2)
    [late] = fleet_of(cluster, token, 1)

    with committed():
        rollouts.sweep()

    assert desired() == [2]
    assert Delivery.objects.get(sensor=late).rollout.version_id == 2
    assert [str(late.pk)] in [message.sensors for message in pushed]


def test_the_sweeper_tells_again_who_was_told_and_did_not_fetch(
    cluster: Cluster, token: EnrolmentToken, pushed: list[push.Message], committed: Committed
) -> None:
    quick, slow = fleet_of(cluster, token, 2)
    estate.version(2)
    rollouts.start_rollout(2)
    Delivery.objects.filter(sensor=quick).update(state=DeliveryState.FETCHED)
    Delivery.objects.update(created_at=timezone.now() - dt.timedelta(seconds=11))

    with committed():
        rollouts.sweep()

    assert [message.sensors for message in pushed if message.number] == [[str(slow.pk)]]


def test_the_sweeper_does_not_tell_those_again_who_were_told_just_now(
    cluster: Cluster, token: EnrolmentToken, pushed: list[push.Message], committed: Committed
) -> None:
    fleet_of(cluster, token, 1)
    estate.version(2)
    rollouts.start_rollout(2)

    with committed():
        rollouts.sweep()

    assert [message for message in pushed if message.number] == []


def test_the_sweeper_leaves_the_slow_alone_while_others_are_still_being_served(
    cluster: Cluster, token: EnrolmentToken, pushed: list[push.Message], committed: Committed
) -> None:
    quick, _ = fleet_of(cluster, token, 2)
    estate.version(2)
    rollouts.start_rollout(2)
    Delivery.objects.update(created_at=timezone.now() - dt.timedelta(seconds=11))
    Delivery.objects.filter(sensor=quick).update(state=DeliveryState.FETCHED, fetched_at=timezone.now())

    with committed():
        rollouts.sweep()

    assert [message for message in pushed if message.number] == []


def test_every_sweep_tells_gateways_the_epoch(pushed: list[push.Message]) -> None:
    FleetState.objects.update(epoch=41)

    rollouts.sweep()

    assert pushed[-1] == push.Message(epoch=41)


def test_a_rollout_is_finished_once_every_sensor_has_spoken(cluster: Cluster, token: EnrolmentToken) -> None:
    one, two = fleet_of(cluster, token, 2)
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
    [revoked] = fleet_of(cluster, token, 1)
    estate.version(2)
    rollouts.start_rollout(2)

    Environment.objects.filter(provider="aws").update(sensor_enabled=False)
    sensors.revoke_sensor(admin, revoked)
    rollouts.sweep()

    assert Rollout.objects.get(version=2).finished_at is not None
    assert Delivery.objects.get(sensor=revoked).state == DeliveryState.SUPERSEDED


def test_two_sweeps_at_once_do_what_one_does(cluster: Cluster, token: EnrolmentToken) -> None:
    fleet_of(cluster, token, 3)
    estate.version(2)
    rollouts.start_rollout(2)
    counts = Delivery.objects.count(), Rollout.objects.count()

    rollouts.sweep()
    rollouts.sweep()

    assert (Delivery.objects.count(), Rollout.objects.count() - 1) == counts  # the sweep added version 1's


def test_stopping_all_blocking_reaches_every_sensor_at_once(
    admin: Any, pushed: list[push.Message], committed: Committed
) -> None:
    epoch = FleetState.objects.get().epoch

    with committed():
        assert blocking.stop_all_blocking(admin) is True

    [message] = pushed
    assert (message.epoch, message.number, message.sensors) == (epoch + 1, 1, None)
    entry = AuditEntry.objects.get(object_type="blocking")
    assert (entry.verb, entry.before, entry.after) == (
        "stopped",
        {"blocking_stopped": False},
        {"blocking_stopped": True},
    )


def test_stopping_twice_is_the_same_as_once(admin: Any, pushed: list[push.Message], committed: Committed) -> None:
    with committed():
        blocking.stop_all_blocking(admin)
        assert blocking.stop_all_blocking(admin) is False

    assert len(pushed) == 1


@pytest.mark.parametrize("change", ["switched", "retired", "restored"])
def test_sensors_of_an_environment_that_is_switched_or_retired_ask_at_once(
    cluster: Cluster,
    token: EnrolmentToken,
    admin: Any,
    pushed: list[push.Message],
    queued: Queued,
    committed: Committed,
    change: str,
) -> None:
    [sensor] = fleet_of(cluster, token, 1)
    estate.sensor(estate.cluster(estate.environment("aws", "1")))
    environment = cluster.environment
    if change == "restored":
        environment_actions.retire_environment(admin, environment)

    with committed():
        if change == "switched":
            environment_actions.switch_sensor(admin, environment, on=False)
        elif change == "retired":
            environment_actions.retire_environment(admin, environment)
        else:
            environment_actions.restore_environment(admin, environment)
    assert queued[-1] == (rollouts.TELL_ENVIRONMENT, (environment.pk,))
    with committed():
        rollouts.tell_environment(environment.pk)

    assert [message.sensors for message in pushed] == [[str(sensor.pk)]]


def test_renaming_an_environment_bothers_no_sensor(
    cluster: Cluster, admin: Any, queued: Queued, committed: Committed
) -> None:
    with committed():
        environment_actions.rename_environment(admin, cluster.environment, "Other")

    assert queued == []


def test_ending_a_sensor_closes_its_stream_and_is_recorded_once(
    cluster: Cluster, token: EnrolmentToken, admin: Any, pushed: list[push.Message], committed: Committed
) -> None:
    [sensor] = fleet_of(cluster, token, 1)

    with committed():
        assert sensors.revoke_sensor(admin, sensor) is True
        assert sensors.revoke_sensor(admin, sensor) is False

    assert [message.closed for message in pushed] == [[str(sensor.pk)]]
    assert AuditEntry.objects.filter(verb="revoked").count() == 1
    assert sensors.release_sensor(admin, sensor) is True
    sensor.refresh_from_db()
    assert sensor.state == SensorState.RELEASED


@pytest.mark.django_db(transaction=True)
def test_workers_and_sweeps_at_once_while_sensors_answer_give_each_its_one_delivery(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rollouts, "CHUNK", 4)
    cluster = estate.cluster()
    fleet = fleet_of(cluster, estate.token(cluster.environment)[0], 30)
    policy = estate.version(2)
    rollout = rollouts.open_rollout(policy)
    word = wire.PolicyStatus(2, policy.digest, "applied")

    def work(place: int) -> None:
        for sensor in fleet if place % 2 else reversed(fleet):
            if place < 3:
                rollouts.spread_chunk(rollout.pk)
            elif place < 5:
                rollouts.sweep()
            else:
                delivery.record_status(sensor, word)

    estate.together(7, work)
    for sensor in fleet:
        delivery.record_status(sensor, word)
    rollouts.sweep()

    assert desired() == [2] * 30
    assert list(Delivery.objects.filter(rollout=rollout).values_list("state", flat=True)) == ["applied"] * 30
    rollout.refresh_from_db()
    assert rollout.finished_at is not None


@pytest.mark.django_db(transaction=True)
def test_of_administrators_who_stop_blocking_at_once_one_does(admin: Any) -> None:
    epoch = FleetState.objects.get().epoch

    done = estate.together(4, lambda _: blocking.stop_all_blocking(admin))

    assert sorted(done) == [False, False, False, True]
    assert FleetState.objects.get().epoch == epoch + 1
    assert AuditEntry.objects.filter(object_type="blocking").count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_administrators_who_revoke_and_release_at_once_each_end_is_recorded_once(admin: Any) -> None:
    sensor, _ = estate.sensor(estate.cluster())

    ends = estate.together(4, lambda place: (sensors.revoke_sensor, sensors.release_sensor)[place % 2](admin, sensor))

    sensor.refresh_from_db()
    assert sensor.state == SensorState.RELEASED
    assert AuditEntry.objects.filter(object_type="sensor").count() == sum(ends)
    assert ends.count(True) in {1, 2}
