"""The delivery of a version to one sensor, whatever the order in which its acknowledgements arrive."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drift.fleet.actions import delivery, rollouts
from drift.fleet.models import Cluster, Delivery, DeliveryState, EnrolmentToken, Rollout, Sensor
from drift.policy.models import PolicyVersion
from sensor import wire
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _no_redis(pushed: Any, queued: Any) -> None:
    """Nothing here reaches a broker or a gateway."""


@pytest.fixture
def sensor() -> Sensor:
    """A sensor whose version 2 is in delivery."""
    row, _ = estate.sensor(estate.cluster())
    estate.version(2)
    rollouts.start_rollout(2)
    row.refresh_from_db()
    return row


def say(sensor: Sensor, number: int, state: str, error: str = "") -> None:
    version = PolicyVersion.objects.get(pk=number)
    delivery.record_status(sensor, wire.PolicyStatus(number, version.digest, state, error))  # type: ignore[arg-type]


def state_of(sensor: Sensor, number: int = 2) -> str:
    return Delivery.objects.get(sensor=sensor, rollout__version=number).state


def test_sent_is_not_applied(sensor: Sensor) -> None:
    assert state_of(sensor) == DeliveryState.PENDING


def test_a_returned_bundle_is_fetched_and_not_applied(sensor: Sensor) -> None:
    from accounts import tokens

    new = tokens.new_token(tokens.SENSOR)
    Sensor.objects.update(credential_prefix=new.prefix, credential_digest=new.digest)

    estate.as_sensor(new.token).get(estate.POLICY)

    sensor.refresh_from_db()
    assert (state_of(sensor), sensor.applied_number) == (DeliveryState.FETCHED, None)


def test_a_sensor_that_names_the_bundles_etag_has_it(sensor: Sensor) -> None:
    from accounts import tokens
    from drift.fleet.actions.bundles import signed_bundle

    new = tokens.new_token(tokens.SENSOR)
    Sensor.objects.update(credential_prefix=new.prefix, credential_digest=new.digest)

    etag = signed_bundle(2).etag
    assert estate.as_sensor(new.token).get(estate.POLICY, headers={"If-None-Match": etag}).status_code == 304

    assert state_of(sensor) == DeliveryState.FETCHED


def test_the_sensor_s_report_marks_a_version_applied(sensor: Sensor) -> None:
    say(sensor, 2, "applied")

    sensor.refresh_from_db()
    assert (state_of(sensor), sensor.applied_number) == (DeliveryState.APPLIED, 2)
    assert sensor.applied_at is not None


def test_a_rejection_keeps_its_reason_and_the_version_that_runs(sensor: Sensor) -> None:
    say(sensor, 1, "applied")
    say(sensor, 2, "rejected", "bad signature")

    row = Delivery.objects.get(rollout__version=2)
    sensor.refresh_from_db()
    assert (row.state, row.error, sensor.applied_number) == (DeliveryState.REJECTED, "bad signature", 1)


def test_a_sensor_may_apply_what_it_rejected_before(sensor: Sensor) -> None:
    say(sensor, 2, "rejected", "disk full")
    say(sensor, 2, "applied")

    row = Delivery.objects.get(rollout__version=2)
    assert (row.state, row.error) == (DeliveryState.APPLIED, "")


def test_a_late_rejection_does_not_undo_applied(sensor: Sensor) -> None:
    say(sensor, 2, "applied")
    say(sensor, 2, "rejected", "late")

    assert state_of(sensor) == DeliveryState.APPLIED


def test_a_report_on_an_older_version_never_lowers_the_applied_number(sensor: Sensor) -> None:
    say(sensor, 2, "applied")
    say(sensor, 1, "applied")

    sensor.refresh_from_db()
    assert sensor.applied_number == 2


def test_applying_a_newer_version_supersedes_open_older_deliveries(sensor: Sensor) -> None:
    estate.version(3)
    Rollout.objects.create(version_id=3)
    say(sensor, 3, "applied")

    assert state_of(sensor) == DeliveryState.SUPERSEDED


def test_a_heartbeat_makes_up_for_a_lost_report_once_the_bundle_was_fetched(sensor: Sensor) -> None:
    heartbeat = wire.Heartbeat("1", None, [], "replay", 2, wire.Counters())
    delivery.record_heartbeat(sensor, heartbeat)
    assert state_of(sensor) == DeliveryState.PENDING

    Sensor.objects.update(applied_number=None)
    sensor.refresh_from_db()
    delivery.mark_fetched(sensor, 2)
    delivery.record_heartbeat(sensor, heartbeat)

    sensor.refresh_from_db()
    assert (state_of(sensor), sensor.applied_number) == (DeliveryState.APPLIED, 2)


def test_one_sensor_s_report_does_not_change_another_s_delivery(sensor: Sensor) -> None:
    other, _ = estate.sensor(sensor.cluster, "other", sensor.enrolment_token)
    delivery.set_desired_version([other.pk], 2)

    say(sensor, 2, "applied")

    assert state_of(other) == DeliveryState.PENDING


def test_the_http_call_records_the_report() -> None:
    row, credential = estate.sensor(estate.cluster())
    delivery.set_desired_version([row.pk], 1)
    report = estate.status_of(PolicyVersion.objects.get(pk=1))

    answer = estate.as_sensor(credential).post(estate.STATUS, json.dumps(report), content_type="application/json")

    assert (answer.status_code, answer.content, state_of(row, 1)) == (204, b"", DeliveryState.APPLIED)


VERSIONS = (1, 2, 3, 4)
NEXT = {
    "pending": {"pending", "fetched", "applied", "rejected", "superseded"},
    "fetched": {"fetched", "applied", "rejected", "superseded"},
    "rejected": {"rejected", "applied"},
    "applied": {"applied"},
    "superseded": {"superseded"},
}
numbers = st.sampled_from(VERSIONS)
steps = st.one_of(
    st.tuples(st.just("want"), numbers),
    st.tuples(st.just("fetch"), numbers),
    st.tuples(st.just("applied"), numbers),
    st.tuples(st.just("rejected"), numbers),
    st.tuples(st.just("beat"), numbers),
    st.tuples(st.just("sweep"), st.just(0)),
)


@pytest.fixture
def versions() -> EnrolmentToken:
    """Four versions, the last one in delivery; the token of a cluster without sensors."""
    for number in VERSIONS[1:]:
        estate.version(number)
    rollouts.start_rollout(VERSIONS[-1])
    return estate.token(estate.cluster().environment)[0]


def take(sensor: Sensor, step: str, number: int) -> None:
    sensor.refresh_from_db()
    if step == "want":
        delivery.set_desired_version([sensor.pk], number)
    elif step == "fetch":
        delivery.mark_fetched(sensor, number)
    elif step == "beat":
        delivery.record_heartbeat(sensor, wire.Heartbeat("1", None, [], "replay", number, wire.Counters()))
    elif step == "sweep":
        rollouts.sweep()
    else:
        say(sensor, number, step)


def snapshot(sensor: Sensor) -> tuple[int, int, dict[int, str]]:
    sensor.refresh_from_db()
    states = dict(sensor.deliveries.values_list("rollout__version", "state"))
    return sensor.desired_version_id or 0, sensor.applied_number or 0, states


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.lists(steps, max_size=14))
def test_any_order_and_repetition_leaves_a_valid_state_and_no_number_ever_falls(
    versions: EnrolmentToken, taken: list[tuple[str, int]]
) -> None:
    sensor, _ = estate.sensor(Cluster.objects.get(), str(uuid.uuid4()), versions)
    before = snapshot(sensor)
    for step, number in taken:
        take(sensor, step, number)
        after = snapshot(sensor)
        assert after[0] >= before[0]
        assert after[1] >= before[1]
        for version, state in before[2].items():
            assert after[2][version] in NEXT[state], (step, number, version)
        still_open = [version for version, state in after[2].items() if state in {"pending", "fetched"}]
        assert len(still_open) <= 1
        assert step != "applied" or all(version >= number for version in still_open)
        before = after
