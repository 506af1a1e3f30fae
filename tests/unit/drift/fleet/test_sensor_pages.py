"""The pages of clusters and sensors."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from drift.fleet.actions import rollouts
from drift.fleet.models import Sensor, SensorState
from sensor.policy import normalise
from tests.unit.drift.fleet import estate
from tests.unit.sensor.policy.test_document import document_of, minimal_rule

pytestmark = [pytest.mark.services, pytest.mark.django_db]

SETTINGS = "/settings/environments/"


@pytest.fixture(autouse=True)
def _no_redis(pushed: Any, queued: Any) -> None:
    """Nothing here reaches a broker or a gateway."""


def test_a_cluster_lists_its_live_sensors_in_constant_queries(
    managing: Any, django_assert_max_num_queries: Any
) -> None:
    cluster = estate.cluster()
    token, _ = estate.token(cluster.environment)
    for number in range(8):
        estate.seen(estate.sensor(cluster, f"node-{number}", token)[0])
    estate.sensor(cluster, "gone", token, state=SensorState.REVOKED, ended_at=timezone.now())

    with django_assert_max_num_queries(7):
        page = estate.text_of(managing.get(f"/clusters/{cluster.pk}/"))

    assert "node-7" in page
    assert "gone" not in page
    assert "gone" in estate.text_of(managing.get(f"/clusters/{cluster.pk}/", {"state": "revoked"}))


@pytest.mark.parametrize("query", [{"q": "\0"}, {"state": "\0"}, {"page": "\0"}, {"page": "-1"}, {"state": "asleep"}])
def test_invalid_url_parameters_cause_no_error(reading: Any, query: dict[str, str]) -> None:
    sensor, _ = estate.sensor(estate.cluster())
    rollouts.open_rollout(estate.version(2))

    for path in (f"/clusters/{sensor.cluster_id}/", SETTINGS, "/rollouts/2/", "/settings/scope-tree/"):
        assert reading.get(path, query).status_code == 200, path


@pytest.mark.parametrize(
    ("backend", "capabilities", "words"),
    [
        ("fanotify", ["fanotify", "ebpf"], "fallen back from eBPF"),
        ("fanotify", ["fanotify"], "fallback"),
        ("ebpf", [], ""),
    ],
)
def test_a_sensor_page_shows_that_capture_fell_back(
    reading: Any, backend: str, capabilities: list[str], words: str
) -> None:
    sensor, _ = estate.sensor(estate.cluster())
    estate.seen(sensor, backend=backend, capabilities=capabilities)
    page = estate.text_of(reading.get(f"/sensors/{sensor.pk}/"))
    assert (words in page) if words else ("fall" not in page)


def test_a_sensor_shows_what_it_runs_counts_and_lost(reading: Any) -> None:
    sensor, _ = estate.sensor(estate.cluster(), applied_number=1)
    counters = {"execs": 1234, "drifted": 5, "lost": {"ring": 7}}
    estate.seen(sensor, backend="ebpf", capabilities=["block"], counters=counters)

    page = estate.text_of(reading.get(f"/sensors/{sensor.pk}/"))

    for expected in ("v1 applied", "1234", "ring", "ebpf", "block"):
        assert expected in page


@pytest.mark.parametrize(
    ("detect", "capabilities", "told"),
    [(["library"], ["block"], True), (["library"], ["library"], False), (["new_file"], [], False)],
)
def test_a_sensor_page_shows_that_libraries_are_not_monitored_as_required(
    reading: Any, detect: list[str], capabilities: list[str], told: bool
) -> None:
    estate.version(7, detect=detect)
    sensor, _ = estate.sensor(estate.cluster(), applied_number=7)
    estate.seen(sensor, backend="ebpf", capabilities=capabilities)

    assert ("Not monitored" in estate.text_of(reading.get(f"/sensors/{sensor.pk}/"))) == told


@pytest.mark.parametrize(
    ("action", "capabilities", "told"),
    [
        ("block", ["block"], "Cannot hold"),
        ("block", ["block", "hold"], ""),
        ("alert", ["block"], ""),
        ("alert", ["fanotify"], "Cannot block"),
    ],
)
def test_a_sensor_page_shows_which_blocking_is_unsupported(
    reading: Any, action: str, capabilities: list[str], told: str
) -> None:
    estate.version(7, rules=normalise(document_of(minimal_rule(action=action)))["rules"])
    sensor, _ = estate.sensor(estate.cluster(), applied_number=7)
    estate.seen(sensor, backend="ebpf", capabilities=capabilities)

    page = estate.text_of(reading.get(f"/sensors/{sensor.pk}/"))
    assert (told in page) if told else ("Cannot" not in page)


def test_a_sensor_without_a_heartbeat_has_a_page_too(reading: Any) -> None:
    sensor, _ = estate.sensor(estate.cluster())

    assert "Offline" in estate.text_of(reading.get(f"/sensors/{sensor.pk}/"))


def test_an_administrator_revokes_and_releases_a_sensor_after_confirming(managing: Any) -> None:
    sensor, _ = estate.sensor(estate.cluster())

    assert "Revoke node-1?" in estate.text_of(managing.get(f"/sensors/{sensor.pk}/revoke/"))
    sensor.refresh_from_db()
    assert sensor.state == SensorState.LIVE
    managing.post(f"/sensors/{sensor.pk}/revoke/")
    sensor.refresh_from_db()
    assert sensor.state == SensorState.REVOKED
    managing.post(f"/sensors/{sensor.pk}/release/")
    sensor.refresh_from_db()
    assert sensor.state == SensorState.RELEASED
    assert managing.get(f"/sensors/{sensor.pk}/explode/").status_code == 404


def test_a_sensor_page_names_the_containers_that_are_monitored_in_part(reading: Any) -> None:
    sensor, _ = estate.sensor(estate.cluster())
    rows = [
        {
            "container_id": "a" * 64,
            "reason": "no_layers",
            "filesystem": "ext4",
            "namespace": "shop",
            "pod_name": "db-0",
        },
        {"container_id": "b" * 64, "reason": "newer", "name": "<b>cart</b>", "image_name": "ghcr.io/shop/cart:1"},
        {"container_id": "c" * 64, "reason": "execs_lost", "lost": {"unreadable": 1, "file_gone": 2}},
    ]
    estate.seen(sensor, gaps=rows, gap_count=60)

    page = estate.text_of(reading.get(f"/sensors/{sensor.pk}/"))

    assert "60 containers of this node; the first 3." in page
    assert "2 by file_gone, 1 by unreadable" in page
    assert "root filesystem ext4: files are judged by change time, nothing is blocked" in page
    assert "shop/db-0" in page
    assert "&lt;b&gt;cart" in page


def test_a_sensor_page_names_the_rules_whose_blocking_is_paused(reading: Any) -> None:
    sensor, _ = estate.sensor(estate.cluster())
    Sensor.objects.filter(pk=sensor.pk).update(applied_number=7)
    estate.seen(sensor, paused_rules=[{"rule": "<r1>", "workloads": 5}])
    page = estate.text_of(reading.get(f"/sensors/{sensor.pk}/"))
    assert "Rules that block nothing for now" in page
    assert "&lt;r1&gt;: 5 workloads" in page


def test_a_sensor_page_without_such_containers_has_no_empty_list(reading: Any) -> None:
    sensor, _ = estate.sensor(estate.cluster())
    estate.seen(sensor)
    page = estate.text_of(reading.get(f"/sensors/{sensor.pk}/"))
    assert "monitored in part" not in page
    assert "block nothing for now" not in page
