"""Groups, incidents, saved views, sample alerts, charts."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from drift.alerts.actions import triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.domain.filters import Filters
from drift.alerts.models import Alert, AlertPulse, Incident, Resolution, SavedView, Status
from drift.alerts.queries import alert_groups as grouping
from drift.alerts.queries import alert_list as listing
from drift.alerts.queries import chart_counts, charts
from drift.alerts.queries.query_limits import QueryLimit, StatementTimeout, statement_timeout
from sensor import policy
from tests.unit.drift.alerts.conftest import RULE, Estate, event, now, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[Any], Client]
HTMX = {"HX-Request": "true"}


def send(estate: Estate, index: int = 0, **changes: Any) -> None:
    ingest(estate.sensors[index], raw(event(**changes)))


def test_what_one_install_ran_is_one_incident(estate: Estate) -> None:
    apt = [{"name": "dpkg", "pid": 30}, {"name": "apt", "pid": 20}, {"name": "containerd-shim", "pid": 5}]
    send(estate, process__path="/a", process__parent={"name": "sh", "pid": 31}, process__ancestors=apt)
    send(estate, process__path="/b", process__parent={"name": "sh", "pid": 32}, process__ancestors=apt)

    assert Alert.objects.values("incident").distinct().count() == 1


@pytest.mark.parametrize(
    "other",
    [
        {"container__id": "e" * 64},
        {"process__parent": {"name": "sh", "pid": 9}, "process__ancestors": [{"name": "containerd-shim", "pid": 5}]},
        {"at": now() - dt.timedelta(minutes=30)},
    ],
    ids=["another container", "another ancestor", "half an hour before"],
)
def test_what_has_nothing_in_common_is_another_incident(estate: Estate, other: dict[str, Any]) -> None:
    send(estate, process__path="/a", process__ancestors=[{"name": "containerd-shim", "pid": 5}])
    send(estate, process__path="/b", **other)

    assert Incident.objects.count() == 2


def test_a_container_that_another_cluster_names_too_is_another_incident(estate: Estate) -> None:
    ingest(estate.sensors[0], raw(event()))
    ingest(estate.sensors[2], raw(event()))

    assert sorted(Incident.objects.values_list("cluster__name", flat=True)) == ["blue", "green"]


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


def test_one_resolution_closes_a_whole_incident(estate: Estate, operator: Any, client_of: ClientOf) -> None:
    for number in range(60):
        send(estate, process__path=f"/{number}")
    send(estate, process__path="/elsewhere", container__id="e" * 64)
    incident, browser = Incident.objects.order_by("pk")[0], client_of(operator)

    chosen = browser.get("/alerts/selection/", {"incident": incident.pk}, headers=HTMX).context["chosen"]
    sent = {"alert": [f"{pk}:{revision}" for pk, revision in chosen], "status": "dismissed", "verdict": "expected"}
    browser.post("/alerts/status/", sent, headers=HTMX)

    assert list(Alert.objects.filter(status="active").values_list("path", flat=True)) == ["/elsewhere"]


def test_the_panel_asks_about_as_many_as_are_chosen(operator: Any, client_of: ClientOf) -> None:
    sent = {"alert": [f"{number}:1" for number in range(1, 1001)], "status": "resolved"}

    page = client_of(operator).post("/alerts/decide/", sent, headers=HTMX).content.decode()

    assert "Resolve 1000 alerts" in page


def test_a_view_is_its_users_own(reader: Any, operator: Any, client_of: ClientOf) -> None:
    browser = client_of(reader)
    browser.post("/alerts/views/", {"name": "Mine", "query": "?namespace=shop"})
    view = SavedView.objects.get()
    assert (view.user, view.query) == (reader, "namespace=shop")

    client_of(operator).post(f"/alerts/views/{view.pk}/delete/")
    assert SavedView.objects.exists(), "nobody deletes another's"
    assert "Mine" in browser.get("/alerts/").content.decode()


def test_saving_a_view_again_replaces_it(reader: Any, client_of: ClientOf) -> None:
    browser = client_of(reader)
    for query in ("namespace=a", "namespace=b"):
        browser.post("/alerts/views/", {"name": "Mine", "query": query})

    assert SavedView.objects.get().query == "namespace=b"


def test_sample_alerts_are_marked_as_such(estate: Estate, operator: Any, client_of: ClientOf) -> None:
    browser = client_of(operator)

    page = browser.post("/alerts/samples/", follow=True).content.decode()

    assert Alert.objects.filter(sample=True).count() == AlertPulse.objects.count() == 3
    assert page.count("Sample</span>") == 3
    assert "This is a sample alert" in browser.get(f"/alerts/{Alert.objects.all()[0].pk}/").content.decode()


def test_without_a_sensor_there_are_no_samples(operator: Any, client_of: ClientOf) -> None:
    page = client_of(operator).post("/alerts/samples/", follow=True).content.decode()

    assert "Enrol a sensor first" in page


def test_charts_count_what_opened_by_day_and_by_hour(estate: Estate, operator: Any) -> None:
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
def test_who_has_most_is_counted_from_the_first_day_however_old_alerts_are(
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


def test_a_rule_from_an_alert_ignores_its_like_above_the_rule_that_decided(
    estate: Estate, operator: Any, client_of: ClientOf
) -> None:
    send(estate)
    alert = Alert.objects.get()

    answer = client_of(operator).post(f"/alerts/{alert.pk}/rule/")

    assert answer["Location"].startswith("/settings/policy/")
    rules = operator.draft.document["rules"]
    new = next(rule for rule in rules if rule["name"].startswith("Allow xmrig"))
    assert rules.index(new) + 1 == [rule["id"] for rule in rules].index(RULE)
    facts = {"provider": "azure", "account": "sub-1", "namespace": "shop", "image_name": "ghcr.io/team/app:2.0"}
    compiled = policy.compile_policy(operator.draft.document)
    assert compiled.decide({**facts, "process_path": alert.path}).action == "ignore"
    assert compiled.decide({**facts, "process_path": "/other"}).action == "alert"


def test_an_alert_is_given_to_a_colleague(estate: Estate, operator: Any, admin: Any, client_of: ClientOf) -> None:
    send(estate)
    alert, browser = Alert.objects.get(), client_of(operator)
    assert f'value="{admin.pk}"' in browser.get(f"/alerts/{alert.pk}/").content.decode()

    browser.post("/alerts/assign/", {"alert": f"{alert.pk}:1", "assignee": admin.pk}, headers=HTMX)

    assert Alert.objects.get().assignee == admin


def test_what_has_no_namespace_and_no_incident_is_a_group_that_opens(
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
    monkeypatch.setattr(grouping, "PAGE_SIZE", 2)
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
    monkeypatch.setattr(grouping, "NEWEST", 2)
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


@pytest.mark.parametrize("group", ["rule", "incident"])
def test_all_matches_are_grouped_on_request(
    estate: Estate, reader: Any, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, group: str
) -> None:
    monkeypatch.setattr(grouping, "NEWEST", 2)
    monkeypatch.setattr(grouping, "PAGE_SIZE", 1)
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
    for module in (grouping, chart_counts):
        monkeypatch.setattr(module, "NEWEST", 2)
        monkeypatch.setattr(module, "run_limited", lambda *_: QueryLimit.TIMEOUT)
    for number in range(3):
        send(estate, process__path=f"/{number}")
    browser = client_of(reader)

    for url in ("/alerts/?group=rule&kind=new_file&all=yes", "/alerts/charts/?kind=new_file&all=yes"):
        page = browser.get(url).content.decode()
        assert "newest 2 alerts that match" in page
        assert "all of them takes longer than 5 seconds" in page


def test_a_statement_that_takes_too_long_is_cancelled_and_the_next_is_not() -> None:
    with pytest.raises(StatementTimeout), statement_timeout(0.01), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(60)")
    with statement_timeout(60), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.02)")


def test_what_was_there_when_the_groups_were_shown_is_no_news(
    estate: Estate, reader: Any, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SETTLE", dt.timedelta(hours=1))
    send(estate, process__path="/before")
    browser = client_of(reader)
    page = browser.get("/alerts/?group=rule").context
    send(estate, process__path="/after")

    told = browser.get("/alerts/live/", {"since": page["since"], "shown": ""}).json()["new"]

    before, after = Alert.objects.order_by("pk").values_list("pk", flat=True)
    assert (page["known"], told) == (str(before), [before, after])


@pytest.mark.parametrize("page", ["/alerts/charts/?", "/alerts/?group=image&", "/alerts/?group=incident&"])
def test_a_filter_that_nothing_can_meet_shows_nothing(
    estate: Estate, reader: Any, client_of: ClientOf, page: str
) -> None:
    send(estate)

    for query in ("cluster=x", "from=yesterday", "day=0001-01-01", "hour=x"):
        answer = client_of(reader).get(page + query)
        assert answer.status_code == 200
        assert "xmrig" not in answer.content.decode()


def test_what_a_chart_shows_opens_as_a_list(estate: Estate, reader: Any, client_of: ClientOf) -> None:
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
