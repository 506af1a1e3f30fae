"""A node that is made anew without its state takes over from its silent sensor; two that live at once never do."""

from __future__ import annotations

import datetime as dt
import json
import threading
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from redis import RedisError

from accounts.models import AuditEntry
from drift import queue
from drift.fleet.actions import enrolment, heartbeats, quarantine, sensors, takeover
from drift.fleet.models import Delivery, EnrolmentToken, Sensor, SensorState, SensorStatus
from drift.fleet.queries.rollouts import OPEN_STATES
from tests.unit.drift.fleet import estate
from tests.unit.drift.health.found import codes, of_sensors

pytestmark = [pytest.mark.services, pytest.mark.django_db]

A, B, C = "a" * 32, "b" * 32, "c" * 32
MINUTE = dt.timedelta(minutes=1)
NOW = dt.timedelta(0)


@pytest.fixture(autouse=True)
def _no_held_heartbeats() -> None:
    queue.redis_client().delete(heartbeats.HELD, heartbeats.TAKEN, heartbeats.FLUSHED)


@pytest.fixture
def text() -> str:
    return estate.token(estate.environment(), max_live_nodes=2)[1]


def enrol(text: str, machine: str = A, boot: str = A, **fields: Any) -> Any:
    return estate.enrol(text, machine_digest=machine, boot_digest=boot, **fields)


def silent_for(time: dt.timedelta, **sensors_of: Any) -> None:
    SensorStatus.objects.filter(**sensors_of).update(last_seen_at=timezone.now() - time)


def old_sensor(text: str, silent: dt.timedelta = 4 * MINUTE, **fields: Any) -> str:
    """Return the credential of node-1's sensor, silent for so long."""
    credential: str = enrol(text, **fields).json()["credential"]
    silent_for(silent)
    return credential


@pytest.mark.parametrize(("machine", "boot"), [(B, B), (A, B), (B, A), ("", B), (B, "")])
def test_a_recreated_node_takes_over_from_its_silent_sensor(text: str, machine: str, boot: str) -> None:
    old = old_sensor(text)

    answer = enrol(text, machine, boot)

    assert answer.status_code == 201
    before, after = Sensor.objects.order_by("enrolled_at")
    assert (before.state, after.state, after.node) == (SensorState.RETIRED, SensorState.LIVE, "node-1")
    assert after.took_over_at is not None
    assert estate.as_sensor(answer.json()["credential"]).get(estate.POLICY).status_code == 200
    assert estate.as_sensor(old).get(estate.POLICY).status_code == 401


@pytest.mark.parametrize(("machine", "boot"), [(A, A), ("", ""), (A, ""), ("", A)])
def test_the_same_boot_or_an_unknown_one_is_refused_as_before(text: str, machine: str, boot: str) -> None:
    old_sensor(text)

    assert enrol(text, machine, boot).status_code == 409
    assert Sensor.objects.get().state == SensorState.LIVE


def test_a_sensor_that_never_named_its_boot_is_not_taken_over(text: str) -> None:
    old_sensor(text, machine="", boot="")

    assert enrol(text, B, B).status_code == 409


def test_a_heartbeat_names_the_boot_of_a_sensor_that_enrolled_before(text: str) -> None:
    old = old_sensor(text, machine="", boot="")
    beat = estate.beat(machine_digest=A, boot_digest=A)
    estate.as_sensor(old).post(estate.HEARTBEAT, json.dumps(beat), content_type="application/json")
    heartbeats.flush_heartbeats()
    silent_for(4 * MINUTE)

    assert enrol(text, A, B).status_code == 201


@pytest.mark.parametrize(("silent", "status"), [(0 * MINUTE, 409), (2.9 * MINUTE, 409), (3.1 * MINUTE, 201)])
def test_a_live_sensor_is_not_taken_over(text: str, silent: dt.timedelta, status: int) -> None:
    old_sensor(text, silent)

    assert enrol(text, B, B).status_code == status


def test_a_heartbeat_that_is_held_and_not_written_yet_counts(text: str) -> None:
    old = old_sensor(text)
    queue.redis_client().set(heartbeats.FLUSHED, 1, ex=60)
    estate.as_sensor(old).post(estate.HEARTBEAT, json.dumps(estate.beat()), content_type="application/json")
    assert SensorStatus.objects.get().last_seen_at < timezone.now() - 3 * MINUTE

    assert enrol(text, B, B).status_code == 409


def test_a_recreated_node_that_lives_is_not_taken_over_in_turn(text: str) -> None:
    old_sensor(text)

    assert enrol(text, B, B).status_code == 201
    assert enrol(text, C, C).status_code == 409


def test_after_an_outage_of_the_portal_silence_must_last_longer(text: str) -> None:
    enrol(text, node="other")
    enrol(text)
    silent_for(4 * MINUTE)
    assert enrol(text, B, B).status_code == 409

    silent_for(dt.timedelta(seconds=1), sensor__node="other")
    assert enrol(text, B, B).status_code == 201


def test_a_fleet_that_is_recreated_as_a_whole_is_not_refused_for_long(text: str) -> None:
    for node in ("other", "node-1"):
        enrol(text, node=node)
    silent_for(16 * MINUTE)

    assert [enrol(text, B, B, node=node).status_code for node in ("other", "node-1")] == [201, 201]


def later(monkeypatch: pytest.MonkeyPatch, time: dt.timedelta) -> None:
    """Set the portal's clock forward."""
    at = timezone.now() + time
    monkeypatch.setattr(timezone, "now", lambda: at)


def test_after_the_clock_was_set_back_a_silent_sensor_is_taken_over_three_minutes_after_that_was_noticed(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(text, node="other")
    old_sensor(text, -120 * MINUTE)
    silent_for(NOW, sensor__node="other")
    assert enrol(text, B, B).status_code == 409

    later(monkeypatch, 2.9 * MINUTE)
    assert enrol(text, B, B).status_code == 409
    later(monkeypatch, 0.2 * MINUTE)
    silent_for(NOW, sensor__node="other")
    assert enrol(text, B, B).status_code == 201


def test_after_the_clock_was_set_back_a_sensor_that_reports_again_is_not_taken_over(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_sensor(text, -120 * MINUTE)
    assert enrol(text, B, B).status_code == 409
    later(monkeypatch, 2.9 * MINUTE)
    silent_for(NOW)

    later(monkeypatch, 1 * MINUTE)
    assert enrol(text, B, B).status_code == 409


def test_a_clock_that_is_set_back_twice_begins_the_wait_anew(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old_sensor(text, -120 * MINUTE)
    assert enrol(text, B, B).status_code == 409
    silent_for(-110 * MINUTE)

    later(monkeypatch, 3.1 * MINUTE)
    assert enrol(text, B, B).status_code == 409


def test_sensors_that_were_seen_in_the_future_do_not_count_as_others_that_report(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(text, node="other")
    old_sensor(text, -120 * MINUTE)
    assert enrol(text, B, B).status_code == 409

    later(monkeypatch, 4 * MINUTE)
    assert enrol(text, B, B).status_code == 409
    later(monkeypatch, 12 * MINUTE)
    assert enrol(text, B, B).status_code == 201


def test_without_redis_a_sensor_that_was_seen_in_the_future_is_not_taken_over(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RedisError

    old_sensor(text, -120 * MINUTE)
    monkeypatch.setattr(cache, "get_or_set", fail)
    for _ in range(2):
        assert enrol(text, B, B).status_code == 409
        later(monkeypatch, 20 * MINUTE)


def test_a_revoked_node_is_never_taken_over(text: str) -> None:
    old_sensor(text)
    Sensor.objects.update(state=SensorState.REVOKED, ended_at=timezone.now())

    assert (enrol(text, B, B).status_code, Sensor.objects.count()) == (403, 1)


@pytest.mark.parametrize("state", [SensorState.LIVE, SensorState.RETIRED])
def test_a_sensor_in_quarantine_does_not_leave_it_by_enrolling_as_a_node_made_anew(
    text: str, admin: Any, state: SensorState
) -> None:
    old_sensor(text)
    quarantine.quarantine_sensor(admin, Sensor.objects.get())
    if state == SensorState.RETIRED:
        Sensor.objects.update(state=state, ended_at=timezone.now())

    assert enrol(text, B, B).status_code == 201
    after = Sensor.objects.get(state=SensorState.LIVE)
    assert after.quarantined_at is not None
    assert after.set_aside_since == after.quarantined_at
    assert AuditEntry.objects.filter(verb="enrolled", object_id=after.pk, after__has_key="quarantine").exists()


@pytest.mark.parametrize("ends", ["lift", "release"])
def test_a_quarantine_that_ended_is_not_inherited(text: str, admin: Any, ends: str) -> None:
    old_sensor(text)
    quarantine.quarantine_sensor(admin, Sensor.objects.get())
    if ends == "lift":
        quarantine.lift_quarantine(admin, Sensor.objects.get())
    else:
        sensors.release_sensor(admin, Sensor.objects.get())

    assert enrol(text, B, B).status_code == 201
    assert Sensor.objects.get(state=SensorState.LIVE).quarantined_at is None


def test_the_credential_of_a_node_that_is_gone_is_rejected_once_its_retired_sensor_is_released(
    text: str, admin: Any
) -> None:
    old = old_sensor(text)
    Sensor.objects.update(state=SensorState.RETIRED, ended_at=timezone.now())

    assert sensors.release_sensor(admin, Sensor.objects.get())
    assert not sensors.release_sensor(admin, Sensor.objects.get())

    assert estate.as_sensor(old).get(estate.POLICY).status_code == 401
    assert Sensor.objects.get().state == SensorState.RELEASED
    assert enrol(text, B, B).status_code == 201


def test_a_retired_sensor_has_a_button_that_releases_it(text: str, admin: Any, client_of: Any) -> None:
    old_sensor(text)
    Sensor.objects.update(state=SensorState.RETIRED, ended_at=timezone.now())

    page = client_of(admin).get(reverse("fleet:sensor", args=[Sensor.objects.get().pk])).content.decode()

    assert ">Release<" in page
    assert ">Revoke<" not in page


def test_the_node_itself_with_its_credential_stays_the_same_sensor(text: str) -> None:
    old = old_sensor(text)

    assert enrol(text, A, B, previous_credential=old).status_code == 201
    assert Sensor.objects.get().took_over_at is None


def test_a_takeover_needs_no_place_among_the_tokens_nodes() -> None:
    text = estate.token(estate.environment(), max_live_nodes=1)[1]
    old_sensor(text)

    assert enrol(text, B, B).status_code == 201


def test_a_takeover_that_the_token_does_not_allow_changes_nothing() -> None:
    env = estate.environment()
    text, full = estate.token(env)[1], estate.token(env, max_live_nodes=1)[1]
    enrol(full, node="other")
    old_sensor(text)
    silent_for(dt.timedelta(0), sensor__node="other")

    assert enrol(full, B, B).status_code == 403
    assert Sensor.objects.get(node="node-1").state == SensorState.LIVE
    assert not AuditEntry.objects.filter(verb="replaced").exists()


def test_a_takeover_is_in_the_audit_log_and_ends_the_old_deliveries(text: str) -> None:
    estate.version(2)
    old_sensor(text)
    before = Sensor.objects.get()

    enrol(text, B, B)

    entry = AuditEntry.objects.get(verb="replaced")
    assert (entry.object_id, entry.object_name) == (str(before.pk), "prod/node-1")
    assert (entry.actor_name, (entry.before or {})["state"]) == ("Enrolment token nodes", "live")
    assert (entry.before or {})["last_seen_at"] < timezone.now().isoformat()
    assert Delivery.objects.filter(sensor=before).exists()
    assert not Delivery.objects.filter(sensor=before, state__in=OPEN_STATES).exists()


def test_fleet_health_shows_a_takeover_for_a_day(text: str, api_of: Any, reader: Any) -> None:
    old_sensor(text)
    enrol(text, B, B)

    assert [(each["code"], each["count"]) for each in of_sensors(api_of(reader))] == [("recreated", 1)]
    Sensor.objects.update(took_over_at=timezone.now() - dt.timedelta(hours=25))
    assert codes(api_of(reader)) == []


def test_fleet_health_shows_two_machines_with_one_name(text: str, api_of: Any, reader: Any) -> None:
    old = old_sensor(text)
    enrol(text, B, B)

    for _ in range(2):
        assert estate.as_sensor(old).get(estate.POLICY).status_code == 401

    assert codes(api_of(reader)) == ["contested", "recreated"]
    assert Sensor.objects.get(state=SensorState.LIVE).contested_at is not None


def test_a_retired_node_that_enrolled_again_is_no_contest(text: str, api_of: Any, reader: Any) -> None:
    old = old_sensor(text, dt.timedelta(hours=25))
    assert sensors.retire_silent_sensors() == 1
    enrol(text, B, B)

    assert estate.as_sensor(old).get(estate.POLICY).status_code == 401
    assert codes(api_of(reader)) == []


@pytest.mark.django_db(transaction=True)
def test_of_six_machines_that_take_over_at_once_exactly_one_succeeds() -> None:
    env = estate.environment()
    old_sensor(estate.token(env)[1])
    texts = [estate.token(env, name=f"t{place}")[1] for place in range(6)]

    answers = estate.together(6, lambda place: enrol(texts[place], B, f"{place}" * 32))

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5
    assert Sensor.objects.filter(state=SensorState.LIVE).count() == 1
    assert AuditEntry.objects.filter(verb="replaced").count() == 1
    assert EnrolmentToken.objects.count() == 7


@pytest.mark.django_db(transaction=True)
def test_a_heartbeat_and_a_takeover_at_once_leave_one_live_sensor() -> None:
    env = estate.environment()
    old, text = old_sensor(estate.token(env)[1]), estate.token(env)[1]

    def work(place: int) -> int:
        if place:
            return int(enrol(text, B, B).status_code)
        beat = json.dumps(estate.beat())
        post = estate.as_sensor(old).post(estate.HEARTBEAT, beat, content_type="application/json")
        return int(post.status_code)

    beat, taken = estate.together(2, work)

    live = Sensor.objects.get(state=SensorState.LIVE)
    assert (taken, live.took_over_at is None) in [(201, False), (409, True)]
    assert beat in (200, 401)
    assert (beat, taken) != (401, 409)


@pytest.mark.django_db(transaction=True)
def test_a_heartbeat_that_arrives_while_a_takeover_is_decided_neither_waits_for_it_nor_stops_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    env = estate.environment()
    old, text = old_sensor(estate.token(env)[1]), estate.token(env)[1]
    answers: list[int] = []

    def beat() -> None:
        post = estate.as_sensor(old).post(estate.HEARTBEAT, json.dumps(estate.beat()), content_type="application/json")
        answers.append(post.status_code)
        connection.close()

    def after_it(sensor: Sensor, request: Any) -> bool:
        thread = threading.Thread(target=beat)
        thread.start()
        thread.join(5)
        return takeover.is_recreated(sensor, request)

    monkeypatch.setattr(enrolment, "is_recreated", after_it)

    assert enrol(text, B, B).status_code == 409
    assert answers == [200]
