"""Groups of alerts: every group opens as a list, and partial groups are marked as such."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert
from drift.alerts.queries import alert_groups, alert_list
from tests.unit.drift.alerts.conftest import Estate, event, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]


ClientOf = Callable[[Any], Client]


def send(estate: Estate, index: int = 0, **changes: Any) -> None:
    ingest(estate.sensors[index], raw(event(**changes)))


@pytest.mark.parametrize("group", ["incident", "rule", "image", "cluster", "namespace", "binary"])
def test_alerts_are_grouped_and_each_group_opens(
    estate: Estate, reader: Any, client_of: ClientOf, group: str, django_assert_max_num_queries: Any
) -> None:
    send(estate, process__path="/a")
    send(estate, process__path="/b")
    browser = client_of(reader)

    with django_assert_max_num_queries(12):
        page = browser.get("/alerts/", {"group": group})

    for row in page.context["grouped"].rows:
        listed = browser.get(f"/alerts/?{row.query}").context["alerts"]
        assert len(listed) == row.count


def test_alerts_without_namespace_and_incident_are_a_group_that_opens(
    estate: Estate, reader: Any, client_of: ClientOf
) -> None:
    send(estate, container__namespace=None, container__pod_name=None)
    Alert.objects.update(incident=None)
    send(estate, process__path="/b")
    browser = client_of(reader)

    for group in ("namespace", "incident"):
        rows = browser.get("/alerts/", {"group": group}).context["grouped"].rows
        (row,) = [row for row in rows if row.name == f"No {group}"]
        page = browser.get(f"/alerts/?{row.query}")
        assert [alert["path"] for alert in page.context["alerts"]] == ["/var/www/html/xmrig"]
        assert "<strong>None</strong>" in page.content.decode() or group == "incident"


@pytest.mark.parametrize("group", ["image", "incident"])
@pytest.mark.parametrize("query", ["", "&status=any", "&cluster={cluster}", "&q=xmrig"], ids=lambda each: each[1:7])
def test_every_group_is_on_one_page_of_groups(
    estate: Estate, reader: Any, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, group: str, query: str
) -> None:
    monkeypatch.setattr(alert_groups, "PAGE_SIZE", 2)
    for number in range(5):
        send(estate, container__id=f"{number}" * 64, container__name=f"c{number}", container__image_name=f"i{number}")
    send(estate, container__id="0" * 64, container__name="again", container__image_name="i0")
    browser, seen = client_of(reader), []

    url = f"/alerts/?group={group}{query.format(cluster=estate.sensors[0].cluster_id)}"
    while url:
        page = browser.get(url)
        seen += [(row.name, row.count) for row in page.context["grouped"].rows]
        url = f"/alerts/{page.context['next']}" if page.context["next"] else ""

    assert len(seen) == len(set(seen)) == 5
    assert sorted(count for _, count in seen) == [1, 1, 1, 1, 2]
    assert group == "incident" or seen[0] == ("i0", 2)


def test_groups_show_when_they_do_not_cover_all_matches(
    estate: Estate, reader: Any, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_groups, "NEWEST", 2)
    for number in range(3):
        send(estate, process__path=f"/{number}")
    browser = client_of(reader)

    assert (
        "Groups of the newest 2 alerts that match" in browser.get("/alerts/?group=rule&kind=new_file").content.decode()
    )
    by_cluster = browser.get(f"/alerts/?group=incident&cluster={estate.sensors[0].cluster_id}").content.decode()
    assert "Group all that match" in by_cluster
    everything = browser.get("/alerts/?group=rule")
    assert "Groups of the newest 2 alerts that match" not in everything.content.decode()
    assert everything.context["grouped"].rows[0].count == 3


@pytest.mark.parametrize("group", ["rule", "incident"])
def test_all_matches_are_grouped_on_request(
    estate: Estate, reader: Any, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, group: str
) -> None:
    monkeypatch.setattr(alert_groups, "NEWEST", 2)
    monkeypatch.setattr(alert_groups, "PAGE_SIZE", 1)
    for number in range(3):
        send(estate, process__path=f"/{number}")
    send(estate, process__path="/3", container__id="e" * 64)
    browser, url = client_of(reader), f"/alerts/?group={group}&kind=new_file"
    assert "Group all that match" in browser.get(url).content.decode()

    page = browser.get(f"{url}&all=yes")
    rows = page.context["grouped"].rows
    if page.context["next"]:
        rows += browser.get(f"/alerts/{page.context['next']}").context["grouped"].rows

    assert sum(row.count for row in rows) == 4
    assert "alerts that match:" not in page.content.decode()


def test_alerts_that_the_groups_counted_are_not_announced(
    estate: Estate, reader: Any, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_list, "SETTLE", dt.timedelta(hours=1))
    send(estate, process__path="/before")
    browser = client_of(reader)
    page = browser.get("/alerts/?group=rule").context
    send(estate, process__path="/after")

    polled = browser.get("/alerts/live/", {"since": page["since"], "shown": ""}).json()["new"]

    before, after = Alert.objects.order_by("pk").values_list("pk", flat=True)
    assert (page["known"], polled) == (str(before), [before, after])


@pytest.mark.parametrize("page", ["/alerts/charts/?", "/alerts/?group=image&", "/alerts/?group=incident&"])
def test_a_value_that_does_not_exist_shows_nothing(estate: Estate, reader: Any, client_of: ClientOf, page: str) -> None:
    send(estate)

    for query in ("cluster=x", "from=yesterday", "day=0001-01-01", "hour=x"):
        answer = client_of(reader).get(page + query)
        assert answer.status_code in {200, 400, 422}, query
        assert "xmrig" not in answer.content.decode()
