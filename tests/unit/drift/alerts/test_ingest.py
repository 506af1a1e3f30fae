"""A sensor's batch becomes stored events and alerts."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import Mock

import pytest
from django.db import DatabaseError

from drift.alerts.actions import detail_limits
from drift.alerts.actions import ingest as ingest_module
from drift.alerts.actions.cluster_slots import SLOTS_PER_CLUSTER, cluster_slots
from drift.alerts.domain.event_groups import MAX_COUNT
from drift.alerts.domain.event_table import partition_name
from drift.alerts.forms import event_batch
from drift.alerts.models import Alert, AlertHour, AlertPulse, Binary, DriftEvent, Workload
from drift.alerts.queries.decision_trace import decision_trace
from tests.database import as_owner
from tests.unit.drift.alerts.conftest import RULE, VERSION, Estate, event, now

pytestmark = [pytest.mark.services, pytest.mark.django_db]
Post = Callable[..., Any]
IGNORE = {"action": "ignore", "rule": "default", "reason": "default", "policy_number": VERSION}


def test_a_drift_event_becomes_a_high_severity_alert_with_its_evidence(estate: Estate, post: Post) -> None:
    seen = event()

    answer = post(estate.client(), seen)

    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "duplicates": 0})
    alert = Alert.objects.get()
    assert (alert.title, alert.severity, alert.status) == (
        "A drift binary detected executing in the container",
        "high",
        "active",
    )
    assert (alert.rule_name, alert.policy_number, alert.pulse.count) == ("Alert on the shop", VERSION, 1)
    assert alert.detail.event["process"]["argv"] == ["./xmrig", "-o", "pool"]
    assert alert.detail.event["node"] == "n1"
    assert alert.detail.rule is not None
    assert alert.detail.rule["id"] == RULE
    assert [(step["rule"] == RULE, step["failed"]) for step in decision_trace(alert)][-1] == (True, None)
    assert (alert.workload.owner_kind, alert.workload.owner_name) == ("Deployment", "cart")


def test_sending_a_batch_again_counts_nothing_twice(estate: Estate, post: Post) -> None:
    batch = [event(), event(count=3, mode="summary")]

    post(estate.client(), *batch)
    answer = post(estate.client(), *batch, event())

    assert answer.json() == {"accepted": 1, "duplicates": 2}
    assert Alert.objects.get().pulse.count == 5
    assert sum(AlertHour.objects.values_list("count", flat=True)) == 5


def test_the_same_event_twice_in_one_batch_is_one(estate: Estate, post: Post) -> None:
    once = event()

    answer = post(estate.client(), once, once)

    assert answer.json() == {"accepted": 1, "duplicates": 1}
    assert Alert.objects.get().pulse.count == 1


def test_an_ignored_event_is_stored_and_raises_no_alert(estate: Estate, post: Post) -> None:
    post(estate.client(), event(mode="summary", count=40, decision=IGNORE))

    assert DriftEvent.objects.get().count == 40
    assert not Alert.objects.exists()


def test_workloads_and_binaries_are_stored_once(estate: Estate, post: Post) -> None:
    post(estate.client(), event(), event(), event(process__path="/tmp/other"))
    post(estate.client(1), event())

    assert (Workload.objects.count(), Binary.objects.count()) == (1, 2)


def test_the_same_binary_on_two_nodes_is_one_alert_and_in_two_clusters_two(estate: Estate, post: Post) -> None:
    for index in range(3):
        post(estate.client(index), event())

    assert sorted(Alert.objects.values_list("cluster__name", "pulse__count")) == [("blue", 2), ("green", 1)]


def test_an_event_that_no_sensor_decided_is_decided_by_its_desired_version(estate: Estate, post: Post) -> None:
    post(estate.client(), event(decision=None), event(decision=None, container__namespace="elsewhere"))

    assert list(Alert.objects.values_list("rule_id", "policy_number")) == [(RULE, VERSION)]
    assert set(DriftEvent.objects.values_list("action", flat=True)) == {"alert", "ignore"}


def test_a_node_that_cannot_identify_containers_has_one_alert(estate: Estate, post: Post) -> None:
    unknown = {"id": "d" * 64}
    decision = {"action": "alert", "rule": None, "reason": "identity_incomplete", "policy_number": None}
    for pid in range(3):
        post(
            estate.client(),
            event(identity="incomplete", container=unknown, decision=decision, process__path=f"/tmp/{pid}"),
        )

    alert = Alert.objects.get()
    assert (alert.pulse.count, alert.reason, decision_trace(alert)) == (3, "identity_incomplete", [])


def test_an_undecided_event_of_an_unidentified_container_raises_the_alert_of_its_node(
    estate: Estate, post: Post
) -> None:
    post(estate.client(), event(identity="incomplete", container={"id": "d" * 64}, decision=None))

    alert = Alert.objects.get()
    assert (alert.action, alert.reason, alert.rule_id) == ("alert", "identity_incomplete", "")


def test_blocked_drift_has_its_own_title_until_an_exec_was_not_blocked(estate: Estate, post: Post) -> None:
    post(estate.client(), event(outcome="blocked"))
    assert Alert.objects.get().title == "Blocked binary drift executing in the container"

    post(estate.client(), event(outcome="not_blocked", outcome_reason="memfd in a cold container"))

    alert = Alert.objects.get()
    assert (alert.title, alert.pulse.blocked) == ("A drift binary detected executing in the container", 1)


def test_one_bad_event_rejects_the_batch_and_is_named(estate: Estate, post: Post) -> None:
    answer = post(estate.client(), event(), event(process__sha256="xyz"), event())

    assert answer.status_code == 422
    assert answer.json()["index"] == 1
    assert answer.json()["field"] == "process.sha256"
    assert not DriftEvent.objects.exists()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"at": now() + dt.timedelta(hours=20)}, "clock_skew"),  # collected long before it runs
        ({"at": now() - dt.timedelta(days=40)}, "beyond_retention"),
        ({"observed_at": "0001-01-01T00:00:00+14:00"}, "beyond_retention"),
        ({"observed_at": "9999-12-31T23:59:59-12:00"}, "clock_skew"),
        ({"last_at": "9999-12-31T23:59:59-12:00"}, "clock_skew"),
        ({"process__name": "a\0b"}, "nul"),
    ],
)
def test_an_event_that_cannot_be_stored_is_rejected_with_its_code(
    estate: Estate, post: Post, changes: dict[str, Any], code: str
) -> None:
    answer = post(estate.client(), event(), event(**changes))

    assert (answer.status_code, answer.json()["code"], answer.json()["index"]) == (422, code, 1)


def test_a_clock_a_few_minutes_ahead_is_accepted(estate: Estate, post: Post) -> None:
    assert post(estate.client(), event(at=now() + dt.timedelta(minutes=9))).status_code == 200


def test_the_sensor_s_time_zone_changes_neither_day_nor_hour(estate: Estate, post: Post) -> None:
    at = now().replace(hour=23, minute=30) - dt.timedelta(days=1)
    zones = [dt.timezone(dt.timedelta(hours=hours)) for hours in (-11, 0, 5)]

    assert post(estate.client(), *(event(at=at.astimezone(zone)) for zone in zones)).status_code == 200

    assert set(DriftEvent.objects.values_list("observed_on", "observed_at")) == {(at.date(), at)}
    hour = at.replace(minute=0, second=0, microsecond=0)
    assert list(AlertHour.objects.values_list("hour", "count")) == [(hour, 3)]


def test_an_event_never_ends_before_it_began(estate: Estate, post: Post) -> None:
    assert post(estate.client(), event(last_at="0001-01-01T00:00:00+14:00")).status_code == 200

    stored = DriftEvent.objects.get()
    assert stored.last_at == stored.observed_at


def test_absurd_counts_are_capped_at_the_maximum_of_the_column(estate: Estate, post: Post) -> None:
    absurd = {"mode": "summary", "count": 2**31, "outcome": "blocked"}
    post(estate.client(), event(**absurd))
    AlertPulse.objects.update(count=MAX_COUNT - 1, blocked=MAX_COUNT - 1)
    AlertHour.objects.update(count=MAX_COUNT - 1)

    answers = [post(estate.client(sensor), event(**absurd)).status_code for sensor in (0, 1)]

    assert answers == [200, 200]
    assert Alert.objects.get().pulse.count == MAX_COUNT


def test_a_gzip_batch_is_accepted(estate: Estate) -> None:
    batch = gzip.compress(json.dumps({"events": [event()]}).encode())

    answer = estate.client().post(
        "/api/v1/sensors/me/events", batch, content_type="application/json", headers={"Content-Encoding": "gzip"}
    )

    assert answer.json() == {"accepted": 1, "duplicates": 0}


def test_a_batch_that_decompresses_past_the_limit_must_be_split(estate: Estate) -> None:
    bomb = gzip.compress(b" " * (event_batch.MAX_DECOMPRESSED + 1))

    answer = estate.client().post(
        "/api/v1/sensors/me/events", bomb, content_type="application/json", headers={"Content-Encoding": "gzip"}
    )

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_more_than_a_thousand_events_must_be_split(estate: Estate, post: Post) -> None:
    assert post(estate.client(), *([{}] * 1001)).status_code == 413


@pytest.mark.parametrize(
    ("sent", "encoding"), [(b"{", "identity"), (b"[]", "identity"), (b"junk", "gzip"), (b"{}", "br")]
)
def test_a_body_that_is_not_a_batch_is_rejected(estate: Estate, sent: bytes, encoding: str) -> None:
    answer = estate.client().post(
        "/api/v1/sensors/me/events", sent, content_type="application/json", headers={"Content-Encoding": encoding}
    )

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_body")


def test_a_flood_of_one_fingerprint_keeps_ids_and_counts_but_no_detail(
    estate: Estate, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detail_limits, "DETAILS_PER_HOUR", 3)
    flood = [event(process__path="/flood") for _ in range(5)]

    post(estate.client(), *flood, event(process__path="/calm"))

    assert DriftEvent.objects.filter(detail__isnull=True).count() == 2
    assert Alert.objects.get(path="/flood").pulse.count == 5


def test_a_batch_that_was_not_stored_uses_up_no_detail(
    estate: Estate, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detail_limits, "DETAILS_PER_HOUR", 3)
    batch = [event(process__path="/once") for _ in range(3)]
    with monkeypatch.context() as away:
        away.setattr(ingest_module, "raise_alerts", Mock(side_effect=DatabaseError))
        assert post(estate.client(), *batch).status_code == 503

    post(estate.client(), *batch)
    post(estate.client(), *batch)
    post(estate.client(), event(process__path="/once"))

    assert DriftEvent.objects.filter(detail__isnull=True).count() == 1


def test_a_cluster_without_a_free_slot_gets_retry_after(estate: Estate, post: Post) -> None:
    with ExitStack() as held:
        for _ in range(SLOTS_PER_CLUSTER):
            held.enter_context(cluster_slots.hold(estate.sensors[0].cluster_id))

        assert post(estate.client(0), event()).status_code == 429
        assert post(estate.client(2), event()).status_code == 200

    assert post(estate.client(0), event()).status_code == 200


def test_a_missing_partition_is_created_when_an_event_needs_it(estate: Estate, post: Post) -> None:
    with as_owner() as cursor:
        cursor.execute(f"DROP TABLE {partition_name(now().date())}")

    assert post(estate.client(), event()).status_code == 200


def test_a_user_cannot_send_events(operator: Any, api_of: Callable[[Any], Any], post: Post) -> None:
    assert post(api_of(operator), event()).status_code == 401
