"""Rollouts in waves: pauses, halts, and rollbacks."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from drift.fleet.actions import blocking_switch, delivery, rollout_control, rollouts
from drift.fleet.domain.push_messages import PushMessage
from drift.fleet.errors import FleetError
from drift.fleet.models import Cluster, Delivery, DeliveryState, EnrolmentToken, Rollout, RolloutPlan, Sensor
from drift.policy.actions import versions
from drift.policy.errors import ConfirmationRequired
from drift.policy.models import PolicyVersion
from sensor import wire
from sensor.policy import KINDS
from tests.unit.drift.fleet import estate
from tests.unit.drift.policy.samples import document, rule

pytestmark = [pytest.mark.services, pytest.mark.django_db]

Queued = list[tuple[str, tuple[Any, ...]]]


@pytest.fixture(autouse=True)
def _no_redis(pushed: list[PushMessage], queued: Queued) -> None:
    """Nothing here reaches a broker or a gateway."""


@pytest.fixture
def cluster() -> Cluster:
    return estate.cluster()


@pytest.fixture
def token(cluster: Cluster) -> EnrolmentToken:
    return estate.token(cluster.environment)[0]


@pytest.fixture
def fleet(cluster: Cluster, token: EnrolmentToken) -> list[Sensor]:
    """Ten sensors with evenly spread ids, as random ids nearly are."""
    return [
        estate.sensor(cluster, f"node-{place}", token, pk=uuid.UUID(int=2**128 * place // 10 + 1))[0]
        for place in range(10)
    ]


def plan(*waves_: dict[str, Any], pause_minutes: int = 30, max_rejected: int = 5) -> None:
    RolloutPlan.objects.update(waves=list(waves_), pause_minutes=pause_minutes, max_rejected=max_rejected)


def started(number: int, **document: Any) -> Rollout:
    estate.version(number, **(document or {"detect": [KINDS[number]]}))
    rollouts.start_rollout(number)
    return Rollout.objects.get(version=number)


def reached(number: int) -> int:
    return Sensor.objects.filter(desired_version=number).count()


def pass_pause(queued: Queued) -> None:
    """Let the pause between two waves pass, and run what the sweeper then queues."""
    Rollout.objects.filter(waiting_until__isnull=False).update(waiting_until=timezone.now() - dt.timedelta(seconds=1))
    queued.clear()
    rollouts.sweep()
    for task, args in queued:
        assert task == rollout_control.SPREAD_CHUNK
        rollouts.spread_chunk(*args)


def say(sensor: Sensor, rollout: Rollout, state: Any) -> None:
    version = PolicyVersion.objects.get(pk=rollout.version_id)
    delivery.record_status(sensor, wire.PolicyStatus(version.number, version.digest, state, "" if state else "bad"))


def test_each_wave_waits_for_the_pause_after_the_previous_one(fleet: list[Sensor], queued: Queued) -> None:
    plan({"percent": 10}, {"percent": 50})

    rollout = started(2)
    assert (reached(2), rollout.spread_at) == (1, None)
    rollouts.sweep()
    rollouts.spread_chunk(rollout.pk)
    assert reached(2) == 1

    pass_pause(queued)
    assert reached(2) == 5
    pass_pause(queued)

    rollout.refresh_from_db()
    assert (reached(2), rollout.waves_left, rollout.spread_at is not None) == (10, 0, True)


def test_a_wave_may_be_environments(fleet: list[Sensor], queued: Queued) -> None:
    trial = estate.cluster(estate.environment("aws", "trial"))
    estate.sensor(trial)
    plan({"environments": [trial.environment_id]})

    started(2)

    assert list(Sensor.objects.filter(desired_version=2).values_list("cluster", flat=True)) == [trial.pk]
    pass_pause(queued)
    assert reached(2) == 11


def test_a_wave_larger_than_a_chunk_is_spread_whole(
    fleet: list[Sensor], queued: Queued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollouts, "CHUNK", 2)
    plan({"percent": 50})
    rollout = started(2)

    for _ in range(3):
        rollouts.spread_chunk(rollout.pk)

    assert reached(2) == 5


def test_a_bad_version_halts_in_its_first_wave_and_goes_no_further(fleet: list[Sensor], queued: Queued) -> None:
    plan({"percent": 30}, max_rejected=20)
    rollout = started(2)
    for sensor, state in zip(fleet, ("applied", "applied", "rejected"), strict=False):
        say(sensor, rollout, state)

    rollouts.sweep()
    pass_pause(queued)

    rollout.refresh_from_db()
    assert reached(2) == 3
    assert rollout.pause_reason == "Halted: 1 of 3 sensors rejected it (limit 20 %)"
    assert AuditEntry.objects.get(object_type="rollout").verb == "halted"


def test_rejections_within_the_limit_do_not_halt_it(fleet: list[Sensor], queued: Queued) -> None:
    plan({"percent": 50}, max_rejected=20)
    rollout = started(2)
    say(fleet[0], rollout, "rejected")

    rollouts.sweep()
    pass_pause(queued)

    assert reached(2) == 10


def test_a_paused_rollout_stands_until_it_is_resumed(fleet: list[Sensor], queued: Queued, admin: Any) -> None:
    plan({"percent": 10}, pause_minutes=0)
    rollout = started(2)

    assert rollout_control.pause_rollout(admin, rollout) is True
    assert rollout_control.pause_rollout(admin, rollout) is False
    pass_pause(queued)
    assert reached(2) == 1

    assert rollout_control.resume_rollout(admin, rollout) is True
    assert rollout_control.resume_rollout(admin, rollout) is False
    pass_pause(queued)
    assert reached(2) == 10
    assert [entry.verb for entry in AuditEntry.objects.filter(object_type="rollout").order_by("pk")] == [
        "paused",
        "resumed",
    ]


def test_a_resumed_rollout_does_not_halt_again(fleet: list[Sensor], queued: Queued, admin: Any) -> None:
    plan({"percent": 10})
    rollout = started(2)
    say(fleet[0], rollout, "rejected")
    rollouts.sweep()

    rollout_control.resume_rollout(admin, rollout)
    rollouts.sweep()
    pass_pause(queued)

    assert reached(2) == 10


def test_a_rollback_sends_the_old_document_under_a_new_number_to_all_at_once(
    fleet: list[Sensor], admin: Any, queued: Queued
) -> None:
    plan({"percent": 30})
    bad = started(2, default={"action": "alert"})

    saved = rollout_control.roll_back(admin, 2)
    rollouts.start_rollout(saved.number)
    rollouts.sweep()

    assert (saved.number, saved.digest) == (3, PolicyVersion.objects.get(pk=1).digest)
    assert reached(3) == 10
    bad.refresh_from_db()
    assert bad.spread_at is not None
    assert set(Delivery.objects.filter(rollout=bad).values_list("state", flat=True)) == {DeliveryState.SUPERSEDED}


def test_a_rollback_needs_no_confirmation_whatever_the_earlier_version_is(fleet: list[Sensor], admin: Any) -> None:
    """It detects nothing, and live sensors do not know its pattern: by any other way it would have to be confirmed."""
    estate.seen(fleet[0], capabilities=["ebpf"])
    pattern = rule("A", allow_list=["glob:/opt/app/*"])
    started(2, **document(rules=[pattern], detect=[]))
    started(3)
    with pytest.raises(ConfirmationRequired):
        versions.save_document(admin, PolicyVersion.objects.get(pk=2).document, 3)

    assert rollout_control.roll_back(admin, 3).digest == PolicyVersion.objects.get(pk=2).digest


def test_only_the_newest_version_is_rolled_back(fleet: list[Sensor], admin: Any) -> None:
    started(2, default={"action": "alert"})
    started(3)

    with pytest.raises(FleetError, match="no longer the newest"):
        rollout_control.roll_back(admin, 2)
    with pytest.raises(FleetError, match="No earlier version"):
        rollout_control.roll_back(admin, 1)


def test_stop_all_blocking_does_not_wait_for_waves(
    fleet: list[Sensor], admin: Any, pushed: list[PushMessage], django_capture_on_commit_callbacks: Any
) -> None:
    plan({"percent": 10})
    started(2)

    with django_capture_on_commit_callbacks(execute=True):
        blocking_switch.stop_all_blocking(admin)

    assert pushed[-1].sensors is None


def test_a_node_that_enrols_during_a_wave_gets_the_previous_version(token: EnrolmentToken, cluster: Cluster) -> None:
    plan({"percent": 10})
    started(2)
    text = estate.token(cluster.environment)[1]

    assert estate.enrol(text, node="late").status_code == 201

    assert Sensor.objects.get(node="late").desired_version_id == 1


def test_a_newer_version_supersedes_one_between_waves(fleet: list[Sensor], queued: Queued) -> None:
    plan({"percent": 50})
    older = started(2, default={"action": "alert"})
    plan()

    started(3, detect=["new_file"])
    rollouts.sweep()

    older.refresh_from_db()
    assert (reached(3), older.waiting_until) == (10, None)
    assert older.finished_at is not None


def test_a_newer_version_in_waves_does_not_stop_the_older_one(
    fleet: list[Sensor], queued: Queued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollouts, "CHUNK", 2)
    older = started(2, default={"action": "alert"})
    plan({"percent": 10})
    started(3, detect=["new_file"])

    for _ in range(6):
        rollouts.spread_chunk(older.pk)

    assert (reached(3), reached(2)) == (1, 9)


def test_a_changed_plan_applies_to_later_versions_and_is_audited(fleet: list[Sensor], admin: Any) -> None:
    first = started(2)

    for _ in range(2):
        rollout_control.save_rollout_plan(
            admin, waves=[{"percent": 20}], pause_minutes=5, max_rejected=1, max_alerts=None
        )

    first.refresh_from_db()
    assert first.waves == []
    assert started(3, detect=["new_file"]).waves_left == 1
    assert AuditEntry.objects.filter(object_type="rollout plan").count() == 1
