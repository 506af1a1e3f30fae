"""Paged lists of sensors, deliveries and rollouts: every row once, whatever changes between two pages."""

from __future__ import annotations

import functools
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from drift.fleet.actions import rollouts
from drift.fleet.models import Cluster, Delivery, DeliveryState, EnrolmentToken, Rollout, Sensor
from drift.fleet.queries import rollouts as rollout_queries
from drift.fleet.queries import sensors as sensor_queries
from drift.fleet.views import rollouts as rollout_views
from drift.web.cursors import keyset_page
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]

MADE_UP: Final = ("x", "WyJub2RlLTEiLDFd:x", "\0", "é" * 300)


@pytest.fixture(autouse=True)
def _short_pages(pushed: Any, queued: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here reaches a broker or a gateway."""
    for module in (sensor_queries, rollout_queries):
        monkeypatch.setattr(module, "keyset_page", functools.partial(keyset_page, size=2))
    monkeypatch.setattr(rollout_views, "LISTED", 2)


def nodes_of(page: Any) -> list[str]:
    rows = page.context["page"].rows
    return [row.node if isinstance(row, Sensor) else row.sensor.node for row in rows]


def walk(reading: Any, url: str, **query: str) -> list[list[str]]:
    """Return the nodes of each page, following the pages' own links."""
    pages, link = [], f"?{urlencode(query)}"
    while link:
        page = reading.get(url + link)
        pages.append(nodes_of(page))
        following = page.context["page"].next
        link = f"?{urlencode({**query, 'after': following})}" if following else ""
        assert ">Next</a>" in page.content.decode() if link else ">Next</a>" not in page.content.decode()
    return pages


def test_a_cluster_shows_each_of_its_sensors_once_by_node(reading: Any, cluster: Cluster, token: Any) -> None:
    for node in ("b", "d", "a", "e", "c"):
        estate.sensor(cluster, node, token)

    assert walk(reading, f"/clusters/{cluster.pk}/") == [["a", "b"], ["c", "d"], ["e"]]


def test_sensors_of_one_node_are_distinguished_and_a_search_is_kept(reading: Any, cluster: Cluster, token: Any) -> None:
    ended = {"state": "revoked", "ended_at": timezone.now()}
    rows = [estate.sensor(cluster, "same", token, **ended)[0].pk for _ in range(5)]
    estate.sensor(cluster, "other", token, **ended)
    url, seen, after = f"/clusters/{cluster.pk}/", [], ""

    while True:
        page = reading.get(url, {"state": "revoked", "q": "SAM", "after": after})
        seen += [row.pk for row in page.context["page"].rows]
        after = page.context["page"].next
        if not after:
            break
        assert f"?state=revoked&amp;q=SAM&amp;after={after.partition(':')[0]}" in page.content.decode()

    assert seen == sorted(rows)


def test_sensors_that_end_between_pages_hide_no_others(reading: Any, cluster: Cluster, token: Any) -> None:
    fleet = [estate.sensor(cluster, node, token)[0] for node in "abcde"]
    url = f"/clusters/{cluster.pk}/"
    after = reading.get(url).context["page"].next
    Sensor.objects.filter(pk__in=[row.pk for row in fleet[:2]]).update(state="revoked", ended_at=timezone.now())

    page = reading.get(url, {"after": after})

    assert nodes_of(page) == ["c", "d"]
    assert '<a class="button" id="first" href="?">First sensors</a>' in page.content.decode()


@pytest.fixture
def spread(cluster: Cluster, token: EnrolmentToken) -> list[Sensor]:
    """Six sensors in delivery of version 2: two rejected it and one applied it."""
    fleet = [estate.sensor(cluster, f"node-{number}", token)[0] for number in range(6)]
    for sensor in fleet:
        estate.seen(sensor)
    estate.version(2)
    rollouts.start_rollout(2)
    for number, reason in ((4, "x" * 2_000), (5, "bad signature")):
        refused = {"state": DeliveryState.REJECTED, "error": reason, "acknowledged_at": timezone.now()}
        Delivery.objects.filter(sensor=fleet[number]).update(**refused)
    Delivery.objects.filter(sensor=fleet[0]).update(state=DeliveryState.APPLIED, acknowledged_at=timezone.now())
    return fleet


def test_a_rollout_shows_each_sensor_once_those_that_need_attention_first(reading: Any, spread: Any) -> None:
    assert walk(reading, "/rollouts/2/") == [["node-4", "node-5"], ["node-0", "node-1"], ["node-2", "node-3"]]
    assert walk(reading, "/rollouts/2/", state="pending") == [["node-1", "node-2"], ["node-3"]]


def test_sensors_that_acknowledge_between_pages_hide_no_others(reading: Any, spread: list[Sensor]) -> None:
    after = reading.get("/rollouts/2/", {"state": "pending"}).context["page"].next
    answered = Delivery.objects.filter(sensor__in=spread[:3])
    answered.update(state=DeliveryState.APPLIED, acknowledged_at=timezone.now())

    assert nodes_of(reading.get("/rollouts/2/", {"state": "pending", "after": after})) == ["node-3"]
    Delivery.objects.filter(sensor=spread[3]).update(state=DeliveryState.APPLIED, acknowledged_at=timezone.now())
    page = reading.get("/rollouts/2/", {"state": "pending", "after": after}).content.decode()
    assert "No more sensors" in page
    assert '<a class="button" id="first" href="?state=pending">First sensors</a>' in page


@pytest.mark.parametrize("query", [{"page": "2"}, *({"after": text} for text in MADE_UP)], ids=str)
def test_an_outdated_or_forged_cursor_shows_the_first_page(
    reading: Any, cluster: Cluster, spread: Any, query: dict[str, str]
) -> None:
    assert nodes_of(reading.get("/rollouts/2/", query)) == ["node-4", "node-5"]
    assert nodes_of(reading.get(f"/clusters/{cluster.pk}/", query)) == ["node-0", "node-1"]


def test_a_cursor_of_one_list_is_invalid_in_another(reading: Any, cluster: Cluster, spread: Any) -> None:
    after = reading.get(f"/clusters/{cluster.pk}/").context["page"].next

    assert nodes_of(reading.get("/rollouts/2/", {"after": after})) == ["node-4", "node-5"]


def queries(reading: Any, url: str, **query: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert reading.get(url, query).status_code == 200
    return len(asked)


def test_every_page_takes_the_same_queries_however_many_sensors(
    reading: Any, cluster: Cluster, token: Any, spread: Any
) -> None:
    urls = ("/rollouts/2/", f"/clusters/{cluster.pk}/")
    first = [queries(reading, url) for url in urls]
    later = [queries(reading, url, after=reading.get(url).context["page"].next) for url in urls]
    for number in range(20):
        Delivery.objects.create(rollout_id=rollout_of(2), sensor=estate.sensor(cluster, f"more-{number}", token)[0])

    assert first == later == [queries(reading, url) for url in urls]


def rollout_of(number: int) -> int:
    return Rollout.objects.get(version_id=number).pk


def test_older_rollouts_are_on_further_pages(reading: Any) -> None:
    for number in range(2, 7):
        rollouts.open_rollout(estate.version(number))

    seen, link = [], "/rollouts/"
    while link:
        page = reading.get(link)
        seen += [row.version_id for row, _ in page.context["lines"]]
        older = page.context["older"]
        assert (f'href="?before={older}"' in page.content.decode()) == bool(older)
        link = f"/rollouts/?before={older}" if older else ""

    assert seen == sorted(seen, reverse=True)
    assert set(seen) >= {2, 3, 4, 5, 6}
    assert "No rollouts before these" in reading.get("/rollouts/?before=1").content.decode()
    for odd in ("x", "-1", "9" * 30, "٣"):
        assert [row.version_id for row, _ in reading.get("/rollouts/", {"before": odd}).context["lines"]] == [6, 5]
