"""Conditions together, conditions that end, and clocks that are set back: nothing is well for the wrong reason."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from celery import current_app
from django.utils import timezone

from drift import queue
from drift.fleet.actions.blocking_switch import resume_blocking, stop_all_blocking
from drift.fleet.actions.detection_proofs import record_proof
from drift.fleet.actions.heartbeats import store_heartbeat
from drift.fleet.models import Environment, FleetState, Proof, Rollout, Sensor, SensorStatus
from drift.fleet.queries.sensors import is_offline
from drift.health.actions.record_health import record_health
from drift.health.domain.process_reports import KEY
from drift.health.domain.task_reports import ENDED_AT
from drift.health.models import ConditionStart
from sensor import wire
from tests.unit.drift.alerts.conftest import event
from tests.unit.drift.fleet import estate
from tests.unit.drift.health import well
from tests.unit.drift.policy.samples import document, rule

pytestmark = [pytest.mark.services, pytest.mark.django_db]

HOUR = dt.timedelta(hours=1)
BEAT = wire.Heartbeat("0.1.0", None, well.CAPABILITIES, "ebpf", 1, wire.Counters())


@pytest.fixture(autouse=True)
def _sends_nothing(queued: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drift.fleet.actions.pushes.push_now", lambda message: None)


def failing(api: Any) -> set[str]:
    rows = api.get("/api/v1/health/").json()["conditions"]
    return {row["code"] for row in rows if row["state"] == "failing"} - {"database_role"}


def state_of(api: Any, code: str) -> tuple[str, str]:
    rows = api.get("/api/v1/health/").json()["conditions"]
    return next((row["state"], row["detail"]) for row in rows if row["code"] == code)


def saved(number: int, **document: Any) -> None:
    row = estate.version(number, **document)
    Rollout.objects.create(version=row, spread_at=timezone.now(), finished_at=timezone.now())


def test_conditions_that_hold_at_once_are_all_shown_until_each_ends(
    node: Sensor, admin: Any, owner: Any, api_of: Any, client_of: Any, settings: Any
) -> None:
    now, api, browser = timezone.now(), api_of(owner), client_of(owner)
    status = SensorStatus.objects.filter(sensor=node)
    row = Sensor.objects.filter(pk=node.pk)
    stop_all_blocking(admin)
    off = estate.environment("gcp", "off", proved_since=now, sensor_enabled=False)
    status.update(clock_offset=90.0, gap_count=3, lost_at=now, capabilities=["ebpf", "block", "hold"])
    row.update(quarantined_at=now, set_aside_since=now, took_over_at=now)
    well.report("worker", ago=20)
    ends: dict[str, Callable[[], Any]] = {
        "blocking_stopped": lambda: resume_blocking(admin),
        "environment_off": lambda: Environment.objects.filter(pk=off.pk).update(sensor_enabled=True),
        "sensor_clock": lambda: status.update(clock_offset=0.5),
        "gaps": lambda: status.update(gap_count=0),
        "losses": lambda: status.update(lost_at=now - 2 * HOUR),
        "unmonitored_kinds": lambda: status.update(capabilities=well.CAPABILITIES),
        "quarantined": lambda: row.update(quarantined_at=None, set_aside_since=None),
        "recreated": lambda: row.update(took_over_at=now - 25 * HOUR),
        "worker": lambda: well.report("worker"),
    }

    left = set(ends)
    for code, end in ends.items():
        for role in ("beat", "gateway"):  # a busy machine may take longer than a report counts
            well.report(role)
        assert failing(api) == left
        assert "All is well" not in estate.text_of(browser.get("/settings/health/"))
        end()
        left.remove(code)

    well.portal(settings)
    assert failing(api) == set()


def test_a_sensor_that_was_last_seen_in_the_future_is_not_online(node: Sensor, owner: Any, api_of: Any) -> None:
    api = api_of(owner)
    SensorStatus.objects.update(last_seen_at=timezone.now() + HOUR, lost_total=0)
    node.refresh_from_db()

    assert "dark" in failing(api)
    assert is_offline(Sensor.objects.select_related("status").get(pk=node.pk))


def test_the_next_heartbeat_counts_after_the_clock_was_set_back(node: Sensor, owner: Any, api_of: Any) -> None:
    SensorStatus.objects.update(last_seen_at=timezone.now() + HOUR, backend="fanotify")

    store_heartbeat(node, BEAT)

    status = SensorStatus.objects.get(sensor=node)
    assert status.backend == "ebpf"
    assert abs(timezone.now() - status.last_seen_at) < HOUR / 2
    assert "dark" not in failing(api_of(owner))


def test_the_next_canary_counts_after_the_clock_was_set_back(node: Sensor) -> None:
    Proof.objects.update(seen_at=timezone.now() + HOUR)

    record_proof(node, [msgspec.convert(event(observed_at=timezone.now().isoformat()), wire.Event)])

    assert Proof.objects.get(sensor=node).seen_at <= timezone.now()


@pytest.mark.parametrize(
    ("headers", "state", "words"),
    [
        ({"sent_at": time.time() + 3_600}, "not_checked", "sent in the future"),
        ({}, "not_checked", "does not say since when"),
        (None, "ok", "0 tasks wait"),
    ],
)
def test_a_queue_is_well_only_where_the_age_of_its_oldest_task_is_known(
    node: Sensor, owner: Any, api_of: Any, headers: dict[str, float] | None, state: str, words: str
) -> None:
    if headers is not None:
        queue.redis_client().lpush("celery", json.dumps({"body": "", "headers": headers}))

    found, detail = state_of(api_of(owner), "queue")

    assert found == state
    assert words in detail


def test_a_cluster_that_lost_all_of_its_sensors_is_not_forgotten_when_they_are_retired(
    node: Sensor, owner: Any, api_of: Any
) -> None:
    api, other = api_of(owner), estate.environment("gcp", "p", name="Payments", proved_since=timezone.now())
    ended: dict[str, Any] = {"state": "retired", "ended_at": timezone.now() - dt.timedelta(days=6)}
    beside, alone = estate.cluster(node.cluster.environment, "beside"), estate.cluster(other, "alone")
    for cluster in (beside, alone):
        for name in ("one", "two"):
            estate.sensor(cluster, name, **ended)
    names = f"alone in Payments, beside in {beside.environment.name}"
    assert state_of(api, "no_sensors") == ("failing", names)

    Sensor.objects.filter(state="retired").update(ended_at=timezone.now() - dt.timedelta(days=8))
    assert state_of(api, "no_sensors") == ("failing", "alone in Payments")

    estate.sensor(alone, "one")
    assert state_of(api, "no_sensors") == ("ok", "2 sensors")

    live = Sensor.objects.filter(cluster=alone, state="live")
    pk = live.get().pk
    live.update(state="released", ended_at=timezone.now())
    assert state_of(api, "no_sensors") == ("ok", "1 sensor")
    Sensor.objects.filter(pk=pk).update(state="retired")
    assert state_of(api, "no_sensors") == ("failing", "alone in Payments")
    Environment.objects.filter(pk=other.pk).update(sensor_enabled=False)
    assert state_of(api, "no_sensors") == ("ok", "1 sensor")


def test_tasks_that_never_ended_are_not_said_to_run_on_time(node: Sensor, owner: Any, api_of: Any) -> None:
    client, api = queue.redis_client(), api_of(owner)
    schedule = current_app.conf.beat_schedule.values()
    client.hdel(ENDED_AT, max(schedule, key=lambda entry: float(entry["schedule"]))["task"])
    assert state_of(api, "tasks") == ("ok", f"{len(schedule) - 1} run on time, 1 not due yet")

    client.delete(ENDED_AT, KEY)

    found, detail = state_of(api, "tasks")
    assert found == "not_checked"
    assert "no task has ended" in detail


def test_a_policy_that_ignores_all_drift_is_not_well(node: Sensor, owner: Any, api_of: Any) -> None:
    api = api_of(owner)
    ignoring = document(rules=[rule("Ignored"), rule("Off", action="alert", enabled=False)])["rules"]
    saved(2, rules=ignoring)
    assert state_of(api, "detection_narrowed") == ("failing", "version 2 ignores all drift")

    saved(3, rules=ignoring, default={"action": "alert"})
    assert state_of(api, "detection_narrowed")[0] == "ok"


def test_blocking_is_in_force_once_the_sensors_know_that_it_was_resumed(
    node: Sensor, admin: Any, owner: Any, api_of: Any
) -> None:
    api, now = api_of(owner), timezone.now()
    stop_all_blocking(admin)
    resume_blocking(admin)
    Sensor.objects.filter(pk=node.pk).update(bundle_at=now - 2 * HOUR)
    assert state_of(api, "blocking_stopped") == ("ok", "in force")

    FleetState.objects.update(blocking_changed_at=now - HOUR)
    found = state_of(api, "blocking_stopped")
    Sensor.objects.filter(pk=node.pk).update(bundle_at=now)

    assert found == ("failing", "1 sensor does not know that it was resumed")
    assert state_of(api, "blocking_stopped") == ("ok", "in force")


def test_a_check_that_fails_once_does_not_restart_since_when_a_condition_holds(
    node: Sensor, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    queue.redis_client().hset(ENDED_AT, "fleet.sweep", int(time.time() - 91))
    record_health()
    ConditionStart.objects.filter(code="tasks").update(began_at=timezone.now() - HOUR)
    address, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1/0"
    record_health()
    settings.REDIS_URL = address
    record_health()

    assert ConditionStart.objects.get(code="tasks").began_at < timezone.now() - HOUR / 2
