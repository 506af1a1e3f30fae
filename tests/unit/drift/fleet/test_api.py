"""The estate for API clients."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from drift.fleet.actions import rollouts
from drift.fleet.models import Delivery, DeliveryState, EnrolmentToken, Environment, FleetState, SensorState
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]

API = "/api/v1"


@pytest.fixture(autouse=True)
def _no_redis(pushed: Any, queued: Any) -> None:
    """Nothing here reaches a broker or a gateway."""


@pytest.fixture
def reading(reader: Any, api_of: Any) -> Any:
    return api_of(reader)


@pytest.fixture
def managing(admin: Any, api_of: Any) -> Any:
    return api_of(admin)


def send(client: Any, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    return getattr(client, method)(API + path, body or {}, content_type="application/json")


def test_an_environment_is_added_changed_and_read(managing: Any, reading: Any) -> None:
    made = send(managing, "post", "/environments/", {"provider": "aws", "account": "1", "name": "Payments"})
    assert made.status_code == 201
    path = f"/environments/{made.json()['id']}/"

    changed = send(managing, "patch", path, {"name": "Paying", "sensor_enabled": False, "retired": True})

    body = reading.get(API + path).json()
    assert changed.json() == body
    assert (body["name"], body["sensor_enabled"], body["provider"]) == ("Paying", False, "aws")
    assert body["retired_at"] is not None
    assert send(managing, "patch", path, {"retired": False}).json()["retired_at"] is None


def test_an_account_that_already_exists_is_a_conflict(managing: Any) -> None:
    estate.environment("aws", "1")

    answer = send(managing, "post", "/environments/", {"provider": "aws", "account": "1", "name": "x"})

    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (409, "account_known", "account")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"provider": "oracle", "account": "1", "name": "x"}, "provider"),
        ({"provider": "aws", "account": "", "name": "x"}, "account"),
        ({"provider": "aws", "account": "1", "name": "x", "colour": "blue"}, "colour"),
    ],
)
def test_an_error_names_its_field(managing: Any, body: dict[str, Any], field: str) -> None:
    answer = send(managing, "post", "/environments/", body)

    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert not Environment.objects.exists()


def test_sensors_are_listed_page_by_page_and_by_cluster_and_state(
    reading: Any, django_assert_max_num_queries: Any
) -> None:
    cluster = estate.cluster()
    token, _ = estate.token(cluster.environment)
    fleet = {str(estate.sensor(cluster, f"n{n}", token)[0].pk) for n in range(5)}
    gone, _ = estate.sensor(cluster, "gone", token, state=SensorState.REVOKED, ended_at=timezone.now())
    other, _ = estate.sensor(estate.cluster(name="other", env=cluster.environment), "x", token)

    seen: list[str] = []
    following: str | None = ""
    while following is not None:
        query = {"cluster": cluster.pk, "state": "live", "limit": 2, **({"after": following} if following else {})}
        with django_assert_max_num_queries(3):  # token, its last use, sensors
            page = reading.get(f"{API}/sensors/", query).json()
        seen += [row["id"] for row in page["results"]]
        following = page["next"]

    assert len(seen) == 5
    assert set(seen) == fleet
    everything = {row["id"] for row in reading.get(f"{API}/sensors/").json()["results"]}
    assert everything == fleet | {str(gone.pk), str(other.pk)}


@pytest.mark.parametrize("path", ["/sensors/", "/environments/", "/rollouts/"])
def test_an_invalid_cursor_is_rejected(reading: Any, path: str) -> None:
    answer = reading.get(API + path, {"after": "nonsense"})

    assert (answer.status_code, answer.json()["field"]) == (400, "after")


def test_a_sensor_has_its_desired_and_applied_version(reading: Any) -> None:
    sensor, _ = estate.sensor(estate.cluster(), applied_number=None)

    body = reading.get(f"{API}/sensors/{sensor.pk}/").json()

    assert (body["desired_number"], body["applied_number"], body["lag"]) == (1, None, 1)
    assert (body["offline"], body["status"]) == (True, None)


def test_a_sensor_is_revoked_and_released(managing: Any) -> None:
    sensor, _ = estate.sensor(estate.cluster())

    assert send(managing, "post", f"/sensors/{sensor.pk}/revoke/").json()["state"] == "revoked"
    assert send(managing, "post", f"/sensors/{sensor.pk}/release/").json()["state"] == "released"


def test_a_token_s_secret_is_returned_once_and_enrols(managing: Any) -> None:
    env = estate.environment()
    made = send(managing, "post", "/enrolment-tokens/", {"name": "Nodes", "environment": env.pk}).json()

    assert estate.enrol(made["token"]).status_code == 201
    [listed] = managing.get(f"{API}/enrolment-tokens/").json()["results"]
    assert "token" not in listed
    assert (listed["live_nodes"], listed["max_live_nodes"]) == (1, 1_000)
    revoked = send(managing, "post", f"/enrolment-tokens/{made['id']}/revoke/").json()
    assert revoked["revoked_at"] is not None


def test_a_token_for_another_environment_s_cluster_is_rejected(managing: Any) -> None:
    other = estate.cluster(estate.environment("aws", "1"))
    wanted = {"name": "Nodes", "environment": estate.environment().pk, "cluster": other.pk}

    assert send(managing, "post", "/enrolment-tokens/", wanted).status_code == 404
    assert not EnrolmentToken.objects.exists()


def test_a_rollout_has_its_progress_and_deliveries(reading: Any) -> None:
    sensor, _ = estate.sensor(estate.cluster())
    estate.version(2)
    rollouts.start_rollout(2)
    Delivery.objects.update(state=DeliveryState.REJECTED, error="bad signature")

    assert reading.get(f"{API}/rollouts/2/").json()["progress"] == {"total": 1, "rejected": 1}
    [row] = reading.get(f"{API}/rollouts/2/deliveries/").json()["results"]
    assert (row["sensor"], row["state"], row["error"]) == (str(sensor.pk), "rejected", "bad signature")
    assert [row["number"] for row in reading.get(f"{API}/rollouts/").json()["results"]] == [2]


def test_all_blocking_is_stopped_and_resumed(managing: Any, reading: Any) -> None:
    assert send(managing, "put", "/blocking/", {"blocking_stopped": True}).json()["blocking_stopped"] is True
    assert reading.get(f"{API}/blocking/").json()["blocking_stopped"] is True

    send(managing, "put", "/blocking/", {"blocking_stopped": False})

    assert FleetState.objects.get().blocking_stopped is False


@pytest.mark.parametrize("path", ["/environments/9/", "/sensors/00000000-0000-4000-8000-000000000000/", "/rollouts/9/"])
def test_an_unknown_object_is_not_found(reading: Any, path: str) -> None:
    assert reading.get(API + path).status_code == 404


def test_a_reader_changes_nothing(reading: Any) -> None:
    sensor, _ = estate.sensor(estate.cluster())

    refused = [
        send(reading, "post", f"/sensors/{sensor.pk}/revoke/"),
        send(reading, "put", "/blocking/", {"blocking_stopped": True}),
        send(reading, "patch", f"/environments/{sensor.cluster.environment_id}/", {"name": "x"}),
        reading.get(f"{API}/enrolment-tokens/"),
    ]

    assert [answer.status_code for answer in refused] == [403] * 4
    sensor.refresh_from_db()
    assert sensor.state == SensorState.LIVE
