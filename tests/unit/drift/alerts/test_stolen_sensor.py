"""What a stolen credential can send, and what each lie does (docs/security.md#a-stolen-sensor)."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import User
from drift.alerts.models import Alert, DriftEvent, Workload
from drift.alerts.queries.alert_list import open_alerts
from drift.fleet.models import Cluster, Sensor, SensorStatus
from tests.database import as_owner
from tests.unit.drift.alerts.conftest import Estate, event, now

pytestmark = [pytest.mark.services, pytest.mark.django_db]
Post = Callable[..., Any]
HEARTBEAT: dict[str, Any] = {
    "sensor_version": "0.2.0",
    "kubernetes_version": "v1.31.2",
    "capabilities": ["ebpf"],
    "backend": "ebpf",
    "applied_number": None,
    "counters": {},
}


def beat(estate: Estate, **lies: Any) -> Any:
    body = json.dumps(HEARTBEAT | lies)
    return estate.client().post("/api/v1/sensors/me/heartbeat", body, content_type="application/json")


def test_three_thousand_new_files_of_invented_containers_open_1001_alerts(estate: Estate, post: Post) -> None:
    # Before the budgets: 3,000 alerts.
    for batch in range(3):
        sent = [
            event(process__path=f"/tmp/{batch}-{n}", container__id=uuid.uuid4().hex, container__namespace=f"ns-{n}")
            for n in range(1_000)
        ]
        assert post(estate.client(), *sent).json() == {"accepted": 1_000, "duplicates": 0}

    assert Alert.objects.count() == 1_001
    assert DriftEvent.objects.count() == 3_000
    assert sum(Alert.objects.values_list("pulse__count", flat=True)) == 3_000


def test_three_thousand_new_files_of_one_container_open_251_alerts(estate: Estate, post: Post) -> None:
    for batch in range(3):
        post(estate.client(), *[event(process__path=f"/tmp/{batch}-{n}") for n in range(1_000)])

    assert Alert.objects.count() == 251
    assert sum(Alert.objects.values_list("pulse__count", flat=True)) == 3_000


def test_a_content_of_many_names_is_counted_once_where_tables_are_taken_for_empty(estate: Estate, post: Post) -> None:
    # Restored and analysed before the first event: 1,000 such files took minutes, since each was counted by itself.
    with as_owner() as cursor:
        cursor.execute("ANALYZE alerts_sighting, alerts_binary, alerts_alert")

    post(estate.client(), *[event(process__path=f"/tmp/{n}") for n in range(100)])

    with as_owner() as cursor:
        cursor.execute("SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'alerts_sighting'")
        read = cursor.fetchone()[0]
        # What the planner knows of tables is not rolled back: later tests must not take them for empty.
        cursor.execute("ANALYZE alerts_sighting, alerts_binary, alerts_alert")
    assert read < 500


def test_events_that_name_another_node_cluster_or_account_count_for_the_credentials_own(
    estate: Estate, post: Post
) -> None:
    post(estate.client(0), event(node="n3", cluster="green", cluster_name="green", account="sub-9", provider="aws"))

    alert = Alert.objects.get()
    assert (alert.sensor.node, alert.cluster.name) == ("n1", "blue")
    assert (alert.detail.event["node"], alert.detail.event["account"]) == ("n1", "sub-1")
    assert {row.cluster.name for row in Workload.objects.all()} == {"blue"}


@pytest.mark.parametrize("ahead", [dt.timedelta(minutes=11), dt.timedelta(days=36_500)])
def test_no_event_is_dated_into_the_future(estate: Estate, post: Post, ahead: dt.timedelta) -> None:
    answer = post(estate.client(), event(at=now() + ahead))

    assert (answer.status_code, answer.json()["code"]) == (422, "clock_skew")


def test_no_event_is_dated_before_what_is_kept(estate: Estate, post: Post) -> None:
    answer = post(estate.client(), event(at=now() - dt.timedelta(days=40)))

    assert (answer.status_code, answer.json()["code"]) == (422, "beyond_retention")


@pytest.mark.parametrize("count", [0, -1, 2**31 + 1, 2**63, 1.5, "many"])
def test_an_absurd_count_is_rejected(estate: Estate, post: Post, count: object) -> None:
    assert post(estate.client(), event(mode="summary", count=count)).status_code == 422
    assert not Alert.objects.exists()


@pytest.mark.parametrize(
    "lies",
    [
        {"counters": {"execs": 2**64}},
        {"counters": {"execs": -1}},
        {"counters": {"lost": {f"cause-{n}": 1 for n in range(1_000)}}},
        {"capabilities": ["x" * 33]},
        {"capabilities": [f"c{n}" for n in range(33)]},
        {"sensor_version": "9" * 65},
        {"backend": "b" * 33},
        {"applied_number": 2**31},
        {"keys": [f"k{n}" for n in range(17)]},
        {"run_id": "r" * 200},
        {"gap_count": -1},
        {"policy_expires_at": "never"},
    ],
)
def test_a_heartbeat_past_its_bounds_is_rejected_whole(estate: Estate, lies: dict[str, Any]) -> None:
    assert beat(estate, **lies).status_code == 422
    assert not SensorStatus.objects.exists()


def test_a_heartbeat_of_any_size_changes_its_own_sensor_alone(estate: Estate) -> None:
    before = [*Sensor.objects.exclude(pk=estate.sensors[0].pk).order_by("pk").values()]

    assert beat(estate, sensor_id=str(estate.sensors[1].pk), node="n2", applied_number=101).status_code == 200
    assert beat(estate, padding="x" * 70_000).status_code == 413

    assert [*Sensor.objects.exclude(pk=estate.sensors[0].pk).order_by("pk").values()] == before


def test_a_version_that_no_portal_issued_is_not_shown_as_applied(estate: Estate) -> None:
    # Before: the next Save was numbered above it, and the sensor never lagged again.
    beat(estate, applied_number=5_331)

    assert Sensor.objects.get(pk=estate.sensors[0].pk).applied_number is None


def test_a_flood_is_one_cluster_and_no_resource_of_others(
    estate: Estate, post: Post, django_user_model: type[User]
) -> None:
    reader = django_user_model.objects.create(email="r@b.example", name="R", role="reader")
    for batch in range(2):
        post(estate.client(), *[event(process__path=f"/tmp/{batch}-{n}") for n in range(1_000)])

    assert (open_alerts(reader).total, open_alerts(reader).resources) == (251, 1)
    assert Cluster.objects.count() == 2
