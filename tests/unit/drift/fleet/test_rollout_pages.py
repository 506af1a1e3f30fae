"""The pages of rollouts."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from drift.fleet.actions import rollouts
from drift.fleet.models import Delivery, DeliveryState
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]

HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def _no_redis(pushed: Any, queued: Any) -> None:
    """Nothing here reaches a broker or a gateway."""


def test_a_rollout_shows_its_sensors_with_state_and_reason(reading: Any, django_assert_max_num_queries: Any) -> None:
    cluster = estate.cluster()
    token, _ = estate.token(cluster.environment)
    fleet = [estate.sensor(cluster, f"node-{n}", token)[0] for n in range(6)]
    for sensor in fleet:
        estate.seen(sensor, dt.timedelta(hours=1))
    estate.version(2)
    rollouts.start_rollout(2)
    Delivery.objects.filter(sensor=fleet[0]).update(
        state=DeliveryState.REJECTED, error="bad signature", acknowledged_at=timezone.now()
    )
    Delivery.objects.filter(sensor=fleet[1]).update(state=DeliveryState.APPLIED, acknowledged_at=timezone.now())

    with django_assert_max_num_queries(13):
        page = estate.text_of(reading.get("/rollouts/2/"))

    for expected in (
        "Version 2 is applied on 1 of 6 sensors, 1 rejected it",
        "bad signature",
        "The sensor is offline",
        "node-5",
    ):
        assert expected in page
    rejected = estate.text_of(reading.get("/rollouts/2/", {"state": "rejected"}))
    assert "node-0" in rejected
    assert "node-5" not in rejected


def test_a_rollout_polls_with_304(reading: Any) -> None:
    rollouts.open_rollout(estate.version(2))
    first = reading.get("/rollouts/2/", headers=HTMX)

    assert reading.get("/rollouts/2/", headers={**HTMX, "If-None-Match": first["ETag"]}).status_code == 304


def test_an_unknown_version_has_no_rollout(reading: Any) -> None:
    assert reading.get("/rollouts/99/").status_code == 404


def test_the_list_of_rollouts_takes_the_same_queries_however_many(
    reading: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(2, 9):
        rollouts.open_rollout(estate.version(number))

    with django_assert_max_num_queries(6):
        page = estate.text_of(reading.get("/rollouts/"))

    assert page.index("v8") < page.index("v2")
