"""The charts: what they count, and that each part opens as a list."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from drift.alerts.actions import triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.domain.filters import Filters
from drift.alerts.models import Alert, Resolution, Status
from drift.alerts.queries import alert_groups, chart_counts, charts
from drift.alerts.queries.query_limits import QueryLimit
from tests.unit.drift.alerts.conftest import Estate, event, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]


ClientOf = Callable[[Any], Client]


def send(estate: Estate, index: int = 0, **changes: Any) -> None:
    ingest(estate.sensors[index], raw(event(**changes)))


def test_charts_count_opened_alerts_by_day_and_by_hour(estate: Estate, operator: Any) -> None:
    noon = timezone.now().replace(hour=0, minute=30) - dt.timedelta(days=2)
    for number in range(3):
        send(estate, process__path=f"/{number}", at=noon)
    send(estate, process__path="/today")
    closed = Alert.objects.get(path="/today")
    triage.change_status(operator, {closed.pk: 1}, triage.StatusChange(Status.RESOLVED, Resolution.TRUE_POSITIVE))

    for filters in (Filters(), Filters("a" * 64), Filters(values={"provider": ("azure",)})):
        found = charts.charts(operator, filters, 7, "status")

        assert len(found.days) == 7
        assert [(one.name, one.counts) for one in found.series] == [
            ("Active", [0, 0, 0, 0, 3, 0, 0]),
            ("Resolved", [0] * 6 + [1]),
        ]
        assert found.heat[noon.isoweekday() - 1][0] == 3
        assert [(bar.name, bar.count) for bar in found.tops["Namespaces"]] == [("shop", 4)]
        assert len(found.tops["Binaries"]) == 4
        assert found.resolve is not None
        assert not found.partial


@pytest.mark.parametrize("oldest", [0, 8, 13, 40, 400])
@pytest.mark.parametrize("days", charts.DAYS)
def test_the_most_frequent_values_are_counted_from_the_first_day(
    estate: Estate, operator: Any, days: int, oldest: int
) -> None:
    first = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0) - dt.timedelta(days=days - 1)
    starts = [first, first - dt.timedelta(seconds=1), first - dt.timedelta(days=oldest), timezone.now()]
    starts += [first + dt.timedelta(days=day) for day in (1, 5)]
    for number, start in enumerate(starts):
        send(estate, process__path=f"/{number}", container__namespace=f"space-{number % 2}")
        Alert.objects.filter(path=f"/{number}").update(first_seen=start)

    found = charts.charts(operator, Filters(), days, "status")

    opened = Counter(f"space-{number % 2}" for number, start in enumerate(starts) if start >= first)
    assert {bar.name: bar.count for bar in found.tops["Namespaces"]} == opened
    assert sum(bar.count for bar in found.tops["Binaries"]) == opened.total()


@pytest.mark.parametrize("split", ["status", "cloud", "rule"])
def test_the_charts_open_with_and_without_alerts(
    estate: Estate, reader: Any, client_of: ClientOf, split: str, django_assert_max_num_queries: Any
) -> None:
    browser = client_of(reader)
    assert "No alerts in this period" in browser.get("/alerts/charts/").content.decode()
    send(estate)

    with django_assert_max_num_queries(16):
        page = browser.get(f"/alerts/charts/?days=90&split={split}").content.decode()

    assert "/var/www/html/xmrig" in page


def test_charts_show_when_they_do_not_cover_all_matches(
    estate: Estate, reader: Any, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chart_counts, "NEWEST", 2)
    for number in range(3):
        send(estate, process__path=f"/{number}")
    browser = client_of(reader)

    assert browser.get("/alerts/charts/").context["charts"].partial == frozenset()
    assert browser.get("/alerts/charts/?status=active").context["charts"].partial == {"image", "namespace", "binary"}
    assert "The charts count the newest" in browser.get("/alerts/charts/?namespace=shop").content.decode()


def test_charts_count_all_matches_on_request(
    estate: Estate, reader: Any, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chart_counts, "NEWEST", 2)
    for number in range(3):
        send(estate, process__path=f"/{number}")
    browser, url = client_of(reader), "/alerts/charts/?kind=new_file"
    assert "Count all that match" in browser.get(url).content.decode()

    found = browser.get(f"{url}&all=yes").context["charts"]

    assert (sum(found.series[0].counts), found.partial, found.limit) == (3, frozenset(), None)
    assert [bar.count for bar in found.tops["Images"]] == [3]


def test_a_count_that_times_out_covers_the_newest_and_the_page_shows_that(
    estate: Estate, reader: Any, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (alert_groups, chart_counts):
        monkeypatch.setattr(module, "NEWEST", 2)
        monkeypatch.setattr(module, "run_limited", lambda *_: QueryLimit.TIMEOUT)
    for number in range(3):
        send(estate, process__path=f"/{number}")
    browser = client_of(reader)

    for url in ("/alerts/?group=rule&kind=new_file&all=yes", "/alerts/charts/?kind=new_file&all=yes"):
        page = browser.get(url).content.decode()
        assert "newest 2 alerts that match" in page
        assert "all of them takes longer than 5 seconds" in page


def test_each_part_of_a_chart_opens_as_a_list(estate: Estate, reader: Any, client_of: ClientOf) -> None:
    yesterday = timezone.now() - dt.timedelta(days=1)
    send(estate, process__path="/yesterday", at=yesterday)
    send(estate, process__path="/now")
    browser = client_of(reader)
    charts_page = browser.get("/alerts/charts/?days=7")
    found = charts_page.context["charts"]

    def listed(query: str) -> list[str]:
        return [alert["path"] for alert in browser.get(f"/alerts/?{query}").context["alerts"]]

    assert listed(found.series[0].query) == ["/now", "/yesterday"]
    assert listed(f"{found.series[0].query}&day={yesterday:%Y-%m-%d}") == ["/yesterday"]
    assert listed(found.tops["Binaries"][0].query) in (["/now"], ["/yesterday"])
    cells = [query for _, row in charts_page.context["heat"] for count, _, query in row if count]
    assert sorted(path for query in cells for path in listed(query)) == ["/now", "/yesterday"]
