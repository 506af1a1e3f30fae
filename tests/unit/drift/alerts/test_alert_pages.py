"""Whatever the order and wherever pages are cut: every alert once, in order, and constant work."""

from __future__ import annotations

import base64
import datetime as dt
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from drift.alerts.actions.ingest import ingest
from drift.alerts.domain.filters import OUTCOMES, SEVERITIES, Filters
from drift.alerts.domain.sort_order import SORT_NAMES, SortOrder
from drift.alerts.models import Alert, AlertPulse
from drift.alerts.queries import charts, search
from drift.alerts.queries.alert_groups import GROUPINGS
from drift.alerts.queries.alert_list import alert_page, matching_alerts
from drift.alerts.queries.alert_pages import COLUMNS, AlertPosition, page_behind
from tests.unit.drift.alerts.conftest import Estate, event, now, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]

ORDERS = [sign + name for name in SORT_NAMES for sign in ("", "-")]


@pytest.fixture
def alerts(estate: Estate) -> list[Alert]:
    """Thirty alerts of two clusters, many of them alike in what lists are sorted by."""
    rng = random.Random(5)
    start = now() - dt.timedelta(hours=5)
    for sensor in (estate.sensors[0], estate.sensors[2]):
        ingest(sensor, raw(*(_event(rng, start, number) for number in range(15))))
    pulses, found = list(AlertPulse.objects.all()), list(Alert.objects.all())
    for pulse, alert in zip(pulses, found, strict=True):
        pulse.updated_at = start + dt.timedelta(minutes=rng.randrange(8))
        alert.priority, alert.severity = rng.choice([0, 40, 41]), rng.choice(SEVERITIES)
        alert.status = rng.choice(["active", "in_progress", "resolved"])
        if alert.status == "resolved":
            alert.closed_at, alert.verdict = now(), "true_positive"
    AlertPulse.objects.bulk_update(pulses, ["updated_at"])
    Alert.objects.bulk_update(found, ["status", "closed_at", "verdict", "priority", "severity"])
    return list(Alert.objects.select_related("cluster", "pulse"))


def _event(rng: random.Random, start: dt.datetime, number: int) -> dict[str, Any]:
    where = {"container__namespace": f"space-{rng.randrange(3)}", "outcome": rng.choice(list(OUTCOMES))}
    return event(process__path=f"/{number}", at=start + dt.timedelta(minutes=rng.randrange(8)), **where)


def in_order(alerts: list[Alert], sort: SortOrder) -> list[int]:
    """Return alerts in the documented order: equals newest first if ascending, oldest first if descending."""
    column = {"resource": "cluster__name"}.get(sort.name, COLUMNS[sort.name])

    def value(alert: Alert) -> Any:
        found: Any = alert
        for step in column.split("__"):
            found = getattr(found, step)
        return SEVERITIES.index(found) if column == "severity" else found

    by_time = sorted(alerts, key=lambda alert: (alert.first_seen, alert.pk), reverse=sort.is_newest_first)
    if sort.name == "updated":
        by_time = sorted(alerts, key=lambda alert: alert.pk, reverse=sort.descending)
    return [alert.pk for alert in sorted(by_time, key=value, reverse=sort.descending)]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [1, 4, 30])
def test_pages_follow_each_other_in_order(alerts: list[Alert], order: str, size: int) -> None:
    sort, seen, after = SortOrder.parse(order), list[int](), ""
    while True:
        page = page_behind(Alert.objects.all(), sort, after, size)
        seen += page.alerts
        if page.next is None:
            break
        after = page.next

    assert seen == in_order(alerts, sort)


@pytest.mark.parametrize("order", ["updated", "-updated", "priority", "-priority"])
def test_the_order_is_the_same_however_it_is_read(alerts: list[Alert], order: str) -> None:
    sort, found = SortOrder.parse(order), Alert.objects.exclude(pk=alerts[3].pk)

    after, seen = "", list[int]()
    for _ in range(8):
        page = page_behind(found, sort, after, 4, at_most=len(alerts), is_of_hours=True)
        assert page == page_behind(found, sort, after, 4)
        seen, after = seen + page.alerts, page.next or ""

    assert seen == [pk for pk in in_order(alerts, sort) if pk != alerts[3].pk]


@pytest.mark.parametrize("order", ORDERS)
def test_no_page_takes_more_queries_for_more_alerts(alerts: list[Alert], order: str) -> None:
    most = {"status": 4, "severity": 4, "name": 3, "resource": 3, "group": 2, "priority": 2}.get(
        order.removeprefix("-"), 1
    )
    sort, after = SortOrder.parse(order), ""
    for _ in range(6):
        with CaptureQueriesContext(connection) as queries:
            page = page_behind(Alert.objects.all(), sort, after, 5)
        assert len(queries) <= most
        after = page.next or ""


def test_a_cursor_round_trips() -> None:
    position = AlertPosition("shop", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), 7)

    assert AlertPosition.read(SortOrder.parse("group"), position.cursor(SortOrder.parse("group"))) == position
    assert AlertPosition.read(SortOrder.parse("-group"), position.cursor(SortOrder.parse("group"))) is None


@pytest.mark.parametrize(
    "forged",
    [
        ["group", "a\0b", "2026-01-01T00:00:00+00:00", 1],
        ["group", "\ud800", "2026-01-01T00:00:00+00:00", 1],
        ["group", 7, "2026-01-01T00:00:00+00:00", 1],
        ["group", "a", "2026-01-01T00:00:00", 1],
        ["group", "a", "0001-01-01T00:00:00+00:00", 1],
        ["group", "a", "yesterday", 1],
        ["group", "a", None, 1],
        ["group", "a", "2026-01-01T00:00:00+00:00", "1"],
        ["group", "a", "2026-01-01T00:00:00+00:00", True],
        ["group", "a", "2026-01-01T00:00:00+00:00", 2**63],
        ["group", "a"],
        7,
    ],
)
def test_a_forged_cursor_is_not_a_position(forged: Any) -> None:
    text = base64.urlsafe_b64encode(json.dumps(forged).encode()).decode()

    assert AlertPosition.read(SortOrder.parse("group"), text) is None


@pytest.mark.parametrize(("probe", "longer"), [(1, 1), (1, 4), (2, 5), (4, 100), (100, 100)])
@pytest.mark.parametrize("text", ["/drift-1", "rift", "nowhere"])
def test_a_search_finds_all_in_order_however_many_it_scans_first(
    estate: Estate, reader: Any, monkeypatch: pytest.MonkeyPatch, probe: int, longer: int, text: str
) -> None:
    for name, value in {"EXTENSION": longer, "PROBE": probe, "MIN_PAGE": 1}.items():
        monkeypatch.setattr(search, name, value)
    start = now() - dt.timedelta(hours=1)
    paths = [f"/drift-{number}" for number in range(12)]
    ingest(
        estate.sensors[0],
        raw(*(event(process__path=path, at=start + dt.timedelta(minutes=n)) for n, path in enumerate(paths))),
    )

    seen, after = list[int](), ""
    while True:
        page = alert_page(reader, Filters(text), SortOrder.parse(""), after, 2)
        seen += page.alerts
        if page.next is None:
            break
        after = page.next

    found = Alert.objects.filter(path__contains=text).order_by("-first_seen")
    assert seen == list(found.values_list("pk", flat=True))


@pytest.mark.parametrize(
    "query", ["registry.example.com/team/one-of-many:1.2", "team/one-of-many:1.2nothing", "of-many:1.2"]
)
def test_a_long_search_string_is_found_whole_or_not_at_all(
    estate: Estate, reader: Any, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    names = ["registry.example.com/team/one-of-many:1.2", "registry.example.com/tools/one-of-many:1.2"]
    ingest(
        estate.sensors[0],
        raw(*(event(process__path=f"/{n}", container__image_name=name) for n, name in enumerate(names))),
    )

    for looked_through in (1, 100):
        monkeypatch.setattr(search, "PROBE", looked_through)
        monkeypatch.setattr(search, "EXTENSION", looked_through)
        page = alert_page(reader, Filters(query), SortOrder.parse(""))
        right = Alert.objects.filter(detail__search__icontains=query)
        assert page.alerts == list(right.order_by("-first_seen", "-pk").values_list("pk", flat=True))


def test_two_letters_are_searched_among_the_newest_alerts_only(
    estate: Estate, reader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "RECENT", 1)
    for number, path in enumerate(("/zq-old", "/zq-new")):
        at = now() - dt.timedelta(minutes=9 - number)
        ingest(estate.sensors[0], raw(event(process__path=path, at=at)))

    found = matching_alerts(reader, Filters("zq"))

    assert list(found.values_list("path", flat=True)) == ["/zq-new"]


PAGES = [
    "/alerts/?sample=no",
    "/alerts/?status=any",
    *(f"/alerts/?sort={order}" for order in ORDERS),
    *(f"/alerts/?group={name}" for name in GROUPINGS),
    *(f"/alerts/?group={name}&namespace=shop" for name in GROUPINGS),
    "/alerts/?group=image&provider=azure",
    "/alerts/?q=drift",
    "/alerts/?q=dr",
    "/alerts/?namespace=shop&kind=new_file&outcome=none&assignee=none&image=ghcr.io/team/app:1.2",
    "/alerts/?environment={environment}&cluster={cluster}&rule=default&binary=1&incident=1&sample=no&mentions=me",
    "/alerts/?path=/drift-*&hash=aaaaaaaa&writer=none&parent=bash&node=n1&pod=cart-7d9f-abcde&container=app&newer=2d",
    "/alerts/?verdict=expected&suppression=Tools&older=1h&from=2026-01-01&until=2036-01-01&assignee=a@example.com",
    *(f"/alerts/charts/?split={split}" for split in charts.SPLITS),
    "/alerts/charts/?namespace=shop",
    "/alerts/live/?since=0",
    "/alerts/selection/?status=any",
    *(f"/alerts/{{alert}}/?tab={tab}" for tab in ("details", "why", "timeline", "tree", "action")),
]


@pytest.mark.parametrize("url", PAGES)
def test_a_page_takes_as_many_queries_for_many_alerts_as_for_few(
    estate: Estate, operator: Any, client_of: Callable[[Any], Client], url: str
) -> None:
    browser, counts = client_of(operator), []
    for number in (2, 60):
        for sensor in (estate.sensors[0], estate.sensors[2]):
            ingest(sensor, raw(*(event(process__path=f"/drift-{number}-{n}") for n in range(number))))
        cluster = estate.sensors[0].cluster
        first = Alert.objects.order_by("pk")[0].pk
        names = {"cluster": cluster.pk, "environment": cluster.environment_id, "alert": first}
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(url.format(**names)).status_code == 200
        counts.append(len(queries))

    assert counts[1] <= counts[0] <= 16
