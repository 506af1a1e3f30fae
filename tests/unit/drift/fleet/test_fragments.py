"""Fragments that other pages include: the scope tree, the delivery line, sensors that cannot block."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from drift.fleet.actions import rollouts
from drift.fleet.models import Delivery, DeliveryState, SensorState, SensorStatus
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]

LINE = "/settings/delivery-line/"
UNABLE = "/settings/blocking/unable/"
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def _no_redis(pushed: Any, queued: Any) -> None:
    """Nothing here reaches a broker or a gateway."""


def test_the_scope_tree_has_a_box_per_cloud_and_environment_and_ticks_the_chosen_ones(reading: Any) -> None:
    estate.environment("azure", "sub-1", name="<Production>")

    part = estate.text_of(reading.get("/settings/scope-tree/", {"selected": ["aws", "azure:sub-1"]}))

    assert 'name="scope" value="azure">' in part
    assert 'name="scope" value="aws" checked>' in part
    assert 'name="scope" value="azure:sub-1" checked>&lt;Production&gt;' in part
    assert 'value="gcp">' in part


def test_retired_environments_are_not_offered_as_scope(reading: Any) -> None:
    estate.environment("azure", "sub-1", retired_at=timezone.now())

    assert "sub-1" not in estate.text_of(reading.get("/settings/scope-tree/"))


def test_the_delivery_line_counts_applied_and_rejected(reading: Any) -> None:
    cluster = estate.cluster()
    token, _ = estate.token(cluster.environment)
    one, two, _ = (estate.sensor(cluster, f"n{n}", token)[0] for n in range(3))
    estate.version(2)
    rollouts.start_rollout(2)
    assert "Version 2 is applied on 0 of 3 sensors" in estate.text_of(reading.get(LINE))

    Delivery.objects.filter(sensor=one).update(state=DeliveryState.APPLIED)
    Delivery.objects.filter(sensor=two).update(state=DeliveryState.REJECTED)

    assert "Version 2 is applied on 1 of 3 sensors, 1 rejected it" in estate.text_of(reading.get(LINE))


def test_the_delivery_line_counts_the_whole_fleet_before_the_first_chunk_is_notified(reading: Any) -> None:
    cluster = estate.cluster()
    estate.sensor(cluster)
    rollouts.open_rollout(estate.version(2))

    assert "Version 2 is applied on 0 of 1 sensor" in estate.text_of(reading.get(LINE))


def test_the_delivery_line_counts_switched_off_sensors_as_not_protected_and_leaves_out_ended_ones(reading: Any) -> None:
    off = estate.cluster(estate.environment("aws", "1", sensor_enabled=False))
    estate.sensor(off)
    on = estate.cluster()
    token, _ = estate.token(on.environment)
    estate.sensor(on, "live", token)
    estate.sensor(on, "gone", token, state=SensorState.REVOKED, ended_at=timezone.now())
    estate.version(2)
    rollouts.start_rollout(2)

    assert "Version 2 is applied on 0 of 2 sensors, 1 not protected (switched off)" in estate.text_of(reading.get(LINE))


def test_the_delivery_line_is_no_longer_green_where_a_sensor_that_applied_the_version_is_offline(reading: Any) -> None:
    cluster = estate.cluster()
    token, _ = estate.token(cluster.environment)
    one, two = (estate.sensor(cluster, f"n{n}", token)[0] for n in range(2))
    estate.seen(one)
    estate.seen(two, ago=dt.timedelta(minutes=2))
    estate.version(2)
    rollouts.start_rollout(2)
    Delivery.objects.update(state=DeliveryState.APPLIED)
    line = estate.text_of(reading.get(LINE))
    assert "Version 2 is applied on all 2 sensors</a>" in line
    assert "tone-success" in line

    SensorStatus.objects.filter(sensor=two).update(last_seen_at=timezone.now() - dt.timedelta(minutes=4))

    for path in (LINE, "/rollouts/2/"):
        line = estate.text_of(reading.get(path))
        assert "Version 2 is applied on all 2 sensors, 1 is offline" in line
        assert "tone-warning" in line


def test_the_delivery_line_answers_304_while_nothing_changed(reading: Any, django_assert_max_num_queries: Any) -> None:
    estate.sensor(estate.cluster())
    rollouts.open_rollout(estate.version(2))
    etag = reading.get(LINE)["ETag"]

    with django_assert_max_num_queries(5):
        assert reading.get(LINE, headers={"If-None-Match": etag}).status_code == 304


def test_the_line_shows_that_there_is_no_rollout(reading: Any) -> None:
    assert "No version has been rolled out yet" in estate.text_of(reading.get(LINE))


def test_a_blocking_rule_shows_the_sensors_that_cannot_block(reading: Any) -> None:
    cluster = estate.cluster()
    token, _ = estate.token(cluster.environment)
    for number in range(7):
        row, _ = estate.sensor(cluster, f"weak-{number}", token)
        SensorStatus.objects.create(sensor=row, last_seen_at=timezone.now(), capabilities=["fanotify"])
    able, _ = estate.sensor(cluster, "able", token)
    SensorStatus.objects.create(sensor=able, last_seen_at=timezone.now(), capabilities=["ebpf", "block"])

    said = estate.text_of(reading.get(UNABLE, {"action": "block"}, headers=HTMX))

    assert "7 of 8 sensors cannot block" in said
    assert [f"weak-{number}" in said for number in range(7)] == [True] * 5 + [False] * 2
    assert ">able<" not in said
    assert estate.text_of(reading.get(UNABLE, {"action": "alert"}, headers=HTMX)).strip() == ""
    page = estate.text_of(reading.get(UNABLE))
    assert "<h1" in page
    assert "7 of 8 sensors cannot block" in page


def test_nothing_is_shown_if_all_sensors_can_block(reading: Any) -> None:
    able, _ = estate.sensor(estate.cluster())
    SensorStatus.objects.create(sensor=able, last_seen_at=timezone.now(), capabilities=["ebpf", "block"])

    assert estate.text_of(reading.get(UNABLE, {"action": "block"}, headers=HTMX)).strip() == ""
    assert "Every sensor can block" in estate.text_of(reading.get(UNABLE))


def test_the_page_of_sensors_that_cannot_block_shows_that_there_are_none(reading: Any) -> None:
    assert "No sensors yet" in estate.text_of(reading.get(UNABLE))
