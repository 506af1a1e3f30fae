"""The sweeper completes what a lost message left undone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.utils import timezone

from drift.fleet.actions import rollout_control, rollouts
from drift.fleet.domain.push_messages import PushMessage
from drift.fleet.models import (
    Cluster,
    Delivery,
    DeliveryState,
    EnrolmentToken,
    FleetState,
    Rollout,
)
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]

Committed = Callable[[], AbstractContextManager[None]]
Queued = list[tuple[str, tuple[Any, ...]]]


@pytest.fixture(autouse=True)
def _no_redis(pushed: list[PushMessage], queued: Queued) -> None:
    """Nothing here reaches a broker or a gateway."""


def test_the_sweeper_starts_versions_whose_message_was_lost(queued: Queued) -> None:
    estate.version(2)

    rollouts.sweep()

    assert Rollout.objects.filter(version=2).exists()
    assert (rollout_control.SPREAD_CHUNK, (Rollout.objects.get(version=2).pk,)) in queued


def test_the_sweeper_resumes_a_stalled_spread_and_leaves_a_running_one(queued: Queued) -> None:
    rollouts.sweep()
    queued.clear()
    running = Rollout.objects.create(version=estate.version(2))
    rollouts.sweep()
    assert (rollout_control.SPREAD_CHUNK, (running.pk,)) not in queued

    Rollout.objects.update(progress_at=timezone.now() - dt.timedelta(seconds=11))
    rollouts.sweep()

    assert (rollout_control.SPREAD_CHUNK, (running.pk,)) in queued


def test_the_sweeper_corrects_a_sensor_that_enrolled_during_a_save(
    cluster: Cluster, token: EnrolmentToken, pushed: list[PushMessage], committed: Committed
) -> None:
    estate.version(2)
    rollouts.start_rollout(2)
    [late] = estate.fleet_of(cluster, token, 1)

    with committed():
        rollouts.sweep()

    assert estate.desired() == [2]
    assert Delivery.objects.get(sensor=late).rollout.version_id == 2
    assert [str(late.pk)] in [message.sensors for message in pushed]


def test_the_sweeper_notifies_sensors_again_that_did_not_fetch(
    cluster: Cluster, token: EnrolmentToken, pushed: list[PushMessage], committed: Committed
) -> None:
    quick, slow = estate.fleet_of(cluster, token, 2)
    estate.version(2)
    rollouts.start_rollout(2)
    Delivery.objects.filter(sensor=quick).update(state=DeliveryState.FETCHED)
    Delivery.objects.update(created_at=timezone.now() - dt.timedelta(seconds=11))

    with committed():
        rollouts.sweep()

    assert [message.sensors for message in pushed if message.number] == [[str(slow.pk)]]


def test_the_sweeper_does_not_repeat_a_recent_notification(
    cluster: Cluster, token: EnrolmentToken, pushed: list[PushMessage], committed: Committed
) -> None:
    estate.fleet_of(cluster, token, 1)
    estate.version(2)
    rollouts.start_rollout(2)

    with committed():
        rollouts.sweep()

    assert [message for message in pushed if message.number] == []


def test_the_sweeper_waits_until_a_push_s_spread_is_over(
    cluster: Cluster, token: EnrolmentToken, pushed: list[PushMessage], committed: Committed
) -> None:
    estate.fleet_of(cluster, token, 1)
    estate.version(2)
    rollouts.start_rollout(2)
    Rollout.objects.filter(version=2).update(asks_within=30)
    Delivery.objects.filter(rollout__version=2).update(created_at=timezone.now() - dt.timedelta(seconds=35))

    with committed():
        rollouts.sweep()

    assert [message.number for message in pushed if message.sensors] == []


def test_the_sweeper_does_not_notify_slow_sensors_while_others_are_served(
    cluster: Cluster, token: EnrolmentToken, pushed: list[PushMessage], committed: Committed
) -> None:
    quick, _ = estate.fleet_of(cluster, token, 2)
    estate.version(2)
    rollouts.start_rollout(2)
    Delivery.objects.update(created_at=timezone.now() - dt.timedelta(seconds=11))
    Delivery.objects.filter(sensor=quick).update(state=DeliveryState.FETCHED, fetched_at=timezone.now())

    with committed():
        rollouts.sweep()

    assert [message for message in pushed if message.number] == []


def test_every_sweep_publishes_the_epoch_to_gateways(pushed: list[PushMessage]) -> None:
    FleetState.objects.update(epoch=41)

    rollouts.sweep()

    assert pushed[-1] == PushMessage(epoch=41)


def test_two_concurrent_sweeps_do_the_work_of_one(cluster: Cluster, token: EnrolmentToken) -> None:
    estate.fleet_of(cluster, token, 3)
    estate.version(2)
    rollouts.start_rollout(2)
    counts = Delivery.objects.count(), Rollout.objects.count()

    rollouts.sweep()
    rollouts.sweep()

    assert (Delivery.objects.count(), Rollout.objects.count() - 1) == counts  # the sweep added version 1's
