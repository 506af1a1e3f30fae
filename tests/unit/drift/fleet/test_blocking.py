"""The switch that stops all blocking."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from drift.fleet.actions import blocking_switch, sensors
from drift.fleet.domain.push_messages import PushMessage
from drift.fleet.models import Cluster, EnrolmentToken, FleetState, Sensor
from drift.fleet.queries import blocking_status as blocking_reading
from drift.fleet.views import blocking as blocking_views
from drift.policy.models import PolicyVersion
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]

Committed = Callable[[], AbstractContextManager[None]]


@pytest.fixture(autouse=True)
def _no_redis(pushed: list[PushMessage], queued: Any) -> None:
    """Nothing here reaches a broker or a gateway."""


def test_stopping_all_blocking_reaches_every_sensor_at_once(
    admin: Any, pushed: list[PushMessage], committed: Committed
) -> None:
    epoch = FleetState.objects.get().epoch

    with committed():
        assert blocking_switch.stop_all_blocking(admin) is True

    [message] = pushed
    assert (message.epoch, message.number, message.sensors) == (epoch + 1, 1, None)
    entry = AuditEntry.objects.get(object_type="blocking")
    assert (entry.verb, entry.before, entry.after) == (
        "stopped",
        {"blocking_stopped": False},
        {"blocking_stopped": True},
    )


def test_stopping_twice_is_the_same_as_once(admin: Any, pushed: list[PushMessage], committed: Committed) -> None:
    with committed():
        blocking_switch.stop_all_blocking(admin)
        assert blocking_switch.stop_all_blocking(admin) is False

    assert len(pushed) == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_administrators_who_stop_blocking_at_once_one_succeeds(admin: Any) -> None:
    epoch = FleetState.objects.get().epoch

    done = estate.together(4, lambda _: blocking_switch.stop_all_blocking(admin))

    assert sorted(done) == [False, False, False, True]
    assert FleetState.objects.get().epoch == epoch + 1
    assert AuditEntry.objects.filter(object_type="blocking").count() == 1


def acknowledge(credential: str, etag: str, number: int = 1) -> None:
    """Report that the sensor applied the bundle with this ETag."""
    digest = PolicyVersion.objects.get(number=number).digest
    report = {"number": number, "digest": digest, "state": "applied", "error": "", "etag": etag}
    answer = estate.as_sensor(credential).post(estate.STATUS, json.dumps(report), content_type="application/json")
    assert answer.status_code == 204, answer.content


def tag_of(credential: str) -> str:
    """Return the ETag of the bundle that the sensor should apply now."""
    return str(estate.as_sensor(credential).get(estate.POLICY).headers["ETag"].strip('"'))


def test_sensors_that_acknowledged_are_counted_and_the_others_listed(
    cluster: Cluster, token: EnrolmentToken, admin: Any, reading: Any
) -> None:
    one, two, off = (estate.sensor(cluster, node, token) for node in ("one", "two", "off"))
    for sensor, ago in ((one, 0), (two, 0), (off, 10)):
        estate.seen(sensor[0], dt.timedelta(minutes=ago))
    before = tag_of(one[1])
    acknowledge(one[1], before)
    blocking_switch.stop_all_blocking(admin)
    assert "Acknowledged by 0 of 3 sensors" in estate.text_of(reading.get("/settings/environments/"))

    acknowledge(two[1], tag_of(two[1]))
    page = estate.text_of(reading.get("/settings/blocking/sensors/"))
    told = reading.get("/api/v1/blocking/").json()

    assert (told["acknowledged"], told["sensors"]) == (1, 3)
    assert "Acknowledged by 1 of 3 sensors" in page
    assert page.index(">off<") < page.index(">one<")
    assert ">two<" not in page
    assert "Notified, not acknowledged yet" in page
    assert "check the node" in page
    acknowledge(one[1], before)  # a late acknowledgement of the previous bundle
    assert blocking_reading.acknowledgement(admin, FleetState.objects.get()).acknowledged == 1


def test_resuming_is_acknowledged_again(cluster: Cluster, token: EnrolmentToken, admin: Any, reading: Any) -> None:
    _, credential = estate.sensor(cluster, "one", token)
    blocking_switch.stop_all_blocking(admin)
    acknowledge(credential, tag_of(credential))
    assert "Every sensor has acknowledged" in estate.text_of(reading.get("/settings/blocking/sensors/"))

    blocking_switch.resume_blocking(admin)

    assert blocking_reading.acknowledgement(admin, FleetState.objects.get()).line == "acknowledged by 0 of 1 sensor"


def test_the_settings_page_links_to_who_does_not_know_of_the_resumption_until_all_that_are_online_do(
    cluster: Cluster, token: EnrolmentToken, admin: Any, reading: Any
) -> None:
    def page(**headers: str) -> str:
        return estate.text_of(reading.get("/settings/environments/", headers=headers))

    (one, credential), (off, other), (new, _) = (estate.sensor(cluster, name, token) for name in ("one", "off", "new"))
    for sensor, ago in ((one, 0), (off, 10), (new, 0)):
        estate.seen(sensor, dt.timedelta(minutes=ago))
    blocking_switch.stop_all_blocking(admin)
    for each in (credential, other):
        acknowledge(each, tag_of(each))
    assert "Blocking was resumed" not in page()
    blocking_switch.resume_blocking(admin)
    shown = page()

    assert "some sensors still only raise alerts" in shown
    assert '<a href="/settings/blocking/sensors/">Acknowledged by 0 of 3 sensors</a>' in shown
    assert "Acknowledged by" not in page(**{"HX-Request": "true"})
    acknowledge(credential, tag_of(credential))
    assert "Acknowledged by" not in page()


def test_a_heartbeat_acknowledges_too(cluster: Cluster, admin: Any, nothing_held: None) -> None:
    sensor, credential = estate.sensor(cluster)
    acknowledge(credential, tag_of(credential))
    blocking_switch.stop_all_blocking(admin)
    told = estate.beat(applied_number=1, applied_etag=tag_of(credential))

    estate.as_sensor(credential).post(estate.HEARTBEAT, json.dumps(told), content_type="application/json")

    assert blocking_reading.acknowledgement(admin, FleetState.objects.get()).acknowledged == 1
    sensor.refresh_from_db()
    assert sensor.applied_number == 1


def test_an_unknown_etag_is_not_an_acknowledgement(cluster: Cluster, admin: Any) -> None:
    _, credential = estate.sensor(cluster)
    blocking_switch.stop_all_blocking(admin)

    acknowledge(credential, "ab" * 32)

    assert blocking_reading.acknowledgement(admin, FleetState.objects.get()).acknowledged == 0


def test_ended_or_switched_off_sensors_do_not_have_to_acknowledge(cluster: Cluster, admin: Any, reading: Any) -> None:
    estate.sensor(estate.cluster(estate.environment("aws", "1", sensor_enabled=False)))
    sensor, _ = estate.sensor(cluster)
    sensors.release_sensor(admin, sensor)
    blocking_switch.stop_all_blocking(admin)

    assert "No sensors yet" in estate.text_of(reading.get("/settings/blocking/sensors/"))


def test_the_list_takes_the_same_queries_however_many_and_polls_with_304(
    cluster: Cluster, token: EnrolmentToken, admin: Any, reading: Any, django_assert_max_num_queries: Any
) -> None:
    for sensor in estate.fleet_of(cluster, token, 5):
        estate.seen(sensor)
    blocking_switch.stop_all_blocking(admin)
    with django_assert_max_num_queries(9):
        answer = reading.get("/settings/blocking/sensors/", headers={"HX-Request": "true"})
    again = {"HX-Request": "true", "If-None-Match": answer.headers["ETag"]}
    assert reading.get("/settings/blocking/sensors/", headers=again).status_code == 304


def test_paging_skips_no_sensor_while_others_acknowledge(
    token: EnrolmentToken, admin: Any, reading: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocking_views, "PAGE", 3)
    places = [estate.cluster(estate.environment("aws", name), name) for name in ("c-1", "c-2")]
    for number in range(4):
        for place in places:
            estate.seen(estate.sensor(place, f"node-{number}", token)[0])
    blocking_switch.stop_all_blocking(admin)

    def listed(**asked: Any) -> tuple[list[str], Any]:
        context = reading.get("/settings/blocking/sensors/", asked).context
        return [f"{row.cluster.name} {row.node}" for row in context["sensors"]], context["next"]

    first, following = listed()
    Sensor.objects.filter(node__in=["node-0", "node-2"]).update(bundle_at=timezone.now())
    second, end = listed(after=following)
    assert (first, second) == (["c-1 node-0", "c-1 node-1", "c-1 node-2"], ["c-1 node-3", "c-2 node-1", "c-2 node-3"])
    assert end is None
    assert listed(after="nobody")[0] == ["c-1 node-1", "c-1 node-3", "c-2 node-1"]

    Sensor.objects.update(bundle_at=timezone.now())
    assert "No more sensors" in estate.text_of(reading.get("/settings/blocking/sensors/", {"after": following}))
