"""Proof of detection: enabled by environment, recorded once per canary, with a notice if it is missing."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, User
from drift.alerts.models import Alert, DriftEvent
from drift.fleet.models import Cluster, Environment, Proof, Sensor, SensorStatus
from tests.unit.drift.alerts.conftest import event
from tests.unit.drift.fleet import estate
from tests.unit.drift.health.found import codes, of_sensors

pytestmark = [pytest.mark.services, pytest.mark.django_db]
EVENTS = "/api/v1/sensors/me/events"
BEAT = {
    "sensor_version": "0.1.0",
    "kubernetes_version": "v1.31.2",
    "capabilities": ["ebpf"],
    "backend": "ebpf",
    "applied_number": 1,
    "counters": {},
}


@pytest.fixture(autouse=True)
def _no_redis(pushed: Any, queued: Any) -> None:
    """Nothing here reaches a broker or a gateway."""


@pytest.fixture
def proving() -> Cluster:
    return estate.cluster(estate.environment(proved_since=timezone.now() - dt.timedelta(days=1)))


def canary(ago: float) -> dict[str, Any]:
    """Return a canary's event as a sensor sends it, whose exec was so many seconds ago."""
    at = (timezone.now() - dt.timedelta(seconds=ago)).isoformat()
    seen = event(event_id=str(uuid.uuid4()), observed_at=at, last_at=at)
    return {**seen, "canary": True, "decision": None}


def send(credential: str, *events: dict[str, Any]) -> dict[str, Any]:
    sensor = estate.as_sensor(credential)
    answer = sensor.post(EVENTS, json.dumps({"events": events}), content_type="application/json")
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize(("since", "seconds"), [(None, None), (timezone.now(), 3_600.0)])
def test_a_heartbeat_response_has_the_canary_interval(since: dt.datetime | None, seconds: float | None) -> None:
    _, credential = estate.sensor(estate.cluster(estate.environment(proved_since=since)))

    sensor = estate.as_sensor(credential)
    answer = sensor.post(estate.HEARTBEAT, json.dumps(BEAT), content_type="application/json")

    assert answer.json()["canary_seconds"] == seconds


def test_a_canary_is_recorded_and_is_neither_an_event_nor_an_alert(proving: Cluster) -> None:
    sensor, credential = estate.sensor(proving)

    assert send(credential, canary(1.8)) == {"accepted": 1, "duplicates": 0}

    assert Proof.objects.get(sensor=sensor).seconds == pytest.approx(1.8, abs=1.0)
    assert (DriftEvent.objects.count(), Alert.objects.count()) == (0, 0)


def test_a_late_or_repeated_canary_does_not_replace_a_newer_one(proving: Cluster) -> None:
    sensor, credential = estate.sensor(proving)
    newer, older = canary(2), canary(3_000)

    for sent in (newer, older, newer):
        send(credential, sent)

    assert Proof.objects.get(sensor=sensor).seen_at.isoformat() == newer["observed_at"]


def test_drift_in_the_same_batch_as_a_canary_is_stored(proving: Cluster) -> None:
    _, credential = estate.sensor(proving)

    assert send(credential, canary(1), event(event_id=str(uuid.uuid4())))["accepted"] == 2
    assert DriftEvent.objects.count() == 1


def missed(cluster: Cluster, node: str, enrolled: dt.timedelta, proven: dt.timedelta | None) -> Sensor:
    now = timezone.now()
    sensor, _ = estate.sensor(cluster, node, enrolled_at=now - enrolled)
    SensorStatus.objects.create(sensor=sensor, last_seen_at=now, backend="ebpf", capabilities=["ebpf"])
    if proven is not None:
        Proof.objects.create(sensor=sensor, seen_at=now - proven, seconds=1.0)
    return sensor


def test_a_missing_canary_raises_a_health_notice(
    proving: Cluster, reader: User, api_of: Callable[[User], Client]
) -> None:
    day, hours, minutes = dt.timedelta(days=1), dt.timedelta(hours=3), dt.timedelta(minutes=50)
    never = missed(proving, "never", day, None)
    late = missed(proving, "late", day, hours)
    missed(proving, "fine", day, minutes)
    missed(proving, "new", minutes, None)

    [notice] = of_sensors(api_of(reader))

    assert (notice["code"], set(notice["sensors"])) == ("unproven", {str(late.pk), str(never.pk)})


def test_environments_without_proof_of_detection_have_no_notice(reader: User, api_of: Callable[[User], Client]) -> None:
    missed(estate.cluster(), "silent", dt.timedelta(days=1), None)

    assert codes(api_of(reader)) == []


def test_an_administrator_switches_it_on_and_off_and_the_pages_show_the_last_proof(
    admin: User, client_of: Callable[[User], Client]
) -> None:
    cluster = estate.cluster()
    sensor = missed(cluster, "node-1", dt.timedelta(days=1), dt.timedelta(minutes=12))
    managing, env = client_of(admin), cluster.environment

    for sent in (
        {"name": env.name, "proof": "on", "exec_history": "on"},
        {"name": "Paying", "proof": "on", "exec_history": "on"},
    ):
        managing.post(f"/settings/environments/{env.pk}/change/", sent)
    since = Environment.objects.get().proved_since
    said = managing.get(f"/sensors/{sensor.pk}/").content.decode()
    tree = managing.get("/settings/environments/").content.decode()
    managing.post(f"/settings/environments/{env.pk}/change/", {"name": "Paying", "exec_history": "on"})

    assert since is not None
    assert "proven 12\xa0minutes ago, 1.0 s from exec to portal" in said
    assert "1 proven" in tree
    assert Environment.objects.get().proved_since is None
    verbs = AuditEntry.objects.filter(object_type="environment").order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == ["enabled proof of detection", "renamed", "disabled proof of detection"]
