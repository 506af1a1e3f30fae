"""The list of incidents: ordered by what to look at first, whichever way it is read, and triaged as a whole."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from drift.alerts.actions import triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.domain.filters import Filters
from drift.alerts.domain.selection_tokens import AlertState, read_token, selection_token
from drift.alerts.models import Alert, Incident, ListPreference, Status
from drift.alerts.queries import incident_list
from drift.alerts.queries.incident_list import incident_page
from tests.unit.drift.alerts.conftest import Estate, event, now, raw
from tests.unit.drift.alerts.test_scopes import limited

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[Any], Client]
HTMX = {"HX-Request": "true"}
APT = [{"name": "dpkg", "pid": 30}, {"name": "apt", "pid": 20}]


def install(estate: Estate, *paths: str, **changes: Any) -> None:
    """Raise an alert for each path, all of one incident."""
    changes = {"process__ancestors": APT, "process__parent": None, **changes}
    ingest(estate.sensors[0], raw(*(event(process__path=path, **changes) for path in paths)))


@pytest.fixture
def estate_of_incidents(estate: Estate) -> Estate:
    """Forty alerts of incidents of all sizes, with few priorities; some are closed, some have no incident."""
    rng = random.Random(3)
    start = now() - dt.timedelta(hours=5)
    for number in range(12):
        changes = {"container__id": f"{number:064x}", "container__name": f"c{number}"}
        size = rng.choice([1, 1, 2, 3, 7])
        install(estate, *(f"/{number}-{n}" for n in range(size)), at=start + dt.timedelta(minutes=number), **changes)
    alerts = list(Alert.objects.order_by("pk"))
    for alert in alerts:
        alert.priority = rng.choice([0, 50, 50, 90])
        alert.scoped_priority = alert.priority
        if rng.random() < 0.3:
            alert.status, alert.verdict, alert.closed_at = "resolved", "true_positive", now()
        if rng.random() < 0.1:
            alert.incident = None
    Alert.objects.bulk_update(alerts, ["priority", "scoped_priority", "status", "verdict", "closed_at", "incident"])
    return estate


def expected(alerts: list[Alert]) -> list[tuple[int | None, int, int]]:
    """Return (incident, first alert, count) of each incident and each alert without one, in the documented order."""
    members: dict[Any, list[Alert]] = {}
    for alert in alerts:
        members.setdefault(alert.incident_id or f"alert {alert.pk}", []).append(alert)

    def place(alert: Alert) -> tuple[int, dt.datetime, int]:
        return alert.priority, alert.first_seen, alert.pk

    firsts = [(max(many, key=place), len(many)) for many in members.values()]
    firsts.sort(key=lambda each: place(each[0]), reverse=True)
    return [(first.incident_id, first.pk, count) for first, count in firsts]


def listed(user: Any, filters: Filters) -> list[tuple[int | None, int, int]]:
    """Return the same as all pages show it."""
    rows, after = [], ""
    while True:
        page = incident_page(user, filters, after)
        rows += page.rows
        if not page.next:
            break
        after = page.next
    incidents = dict(Alert.objects.values_list("pk", "incident"))
    return [(incidents[pk := int(row.first_alert["pk"])], pk, row.count) for row in rows]


OPEN = ["active", "in_progress"]


@pytest.mark.parametrize(("size", "walked"), [(1, 1), (1, 3), (3, 7), (50, 1_000)])
def test_every_incident_is_shown_once_in_order_wherever_pages_end(
    estate_of_incidents: Estate, reader: Any, monkeypatch: pytest.MonkeyPatch, size: int, walked: int
) -> None:
    monkeypatch.setattr(incident_list, "PAGE_SIZE", size)
    monkeypatch.setattr(incident_list, "WALKED", walked)

    assert listed(reader, Filters()) == expected(list(Alert.objects.filter(status__in=OPEN)))
    everything = Filters(values={"status": ("any",)})
    assert listed(reader, everything) == expected(list(Alert.objects.all()))


@pytest.mark.parametrize("size", [1, 4, 50])
def test_with_a_filter_the_newest_matches_are_in_the_same_order(
    estate_of_incidents: Estate, reader: Any, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(incident_list, "PAGE_SIZE", size)
    filters = Filters(values={"status": ("any",), "path": ("/*-[0-3]", "/1*", "/3-*", "/7-*")})
    found = [each for each in Alert.objects.all() if each.path.startswith(("/1", "/3-", "/7-"))]

    assert listed(reader, filters) == expected(found) != []
    assert not incident_page(reader, filters).partial
    monkeypatch.setattr(incident_list, "NEWEST", 2)
    assert incident_page(reader, filters).partial


def test_a_user_with_a_scope_sees_the_incidents_of_it_alone(estate: Estate, operator: Any) -> None:
    install(estate, "/a", "/b")
    install(estate, "/c", container__namespace="bank", container__name="safe")
    user = limited(operator, cluster=estate.sensors[0].cluster, namespace="shop")

    assert [(row.name, row.count) for row in incident_page(user, Filters()).rows] == [
        ("Package install in shop/cart, 2 files", 2)
    ]


def test_single_alerts_are_shown_as_themselves_and_routine_is_marked(estate: Estate, reader: Any) -> None:
    install(estate, *(f"/usr/lib/{number}" for number in range(3)))
    curl = {"name": "curl", "pid": 70, "at": now().isoformat()}
    install(estate, "/tmp/xmrig", process__written_by=curl)
    attack = Alert.objects.get(path="/tmp/xmrig")
    Alert.objects.filter(pk=attack.pk).update(priority=90)

    first, second = incident_page(reader, Filters()).rows
    assert (first.is_single, first.is_routine, first.url) == (True, False, f"/alerts/{attack.pk}/")
    assert (first.name, first.choice) == (attack.title, f"{attack.pk}:1")
    assert (second.is_single, second.is_routine) == (False, True)
    assert second.name == "Package install in shop/cart, 3 files"
    assert second.url == f"/alerts/incidents/{Incident.objects.get(story='package_install').pk}/"


def test_the_page_takes_as_many_queries_for_many_incidents_as_for_few(
    estate: Estate, operator: Any, client_of: ClientOf
) -> None:
    browser, counts = client_of(operator), []
    for number in (1, 30):
        for each in range(number):
            place = {"container__id": f"{number:02}{each:062x}", "container__name": f"c{number}-{each}"}
            install(estate, *(f"/{number}-{n}" for n in range(3)), **place)
        pk = Incident.objects.latest("pk").pk
        for url in ("/alerts/?view=incidents", "/alerts/?view=incidents&namespace=shop", f"/alerts/incidents/{pk}/"):
            with CaptureQueriesContext(connection) as queries:
                assert browser.get(url).status_code == 200
            counts.append(len(queries))

    assert counts[:3] == counts[3:]
    assert max(counts) <= 18


def test_the_view_is_remembered_where_it_was_chosen(estate: Estate, reader: Any, client_of: ClientOf) -> None:
    install(estate, "/a", "/b")
    browser = client_of(reader)

    assert "alerts" in browser.get("/alerts/").context
    assert "incidents" in browser.get("/alerts/?view=incidents").context  # a link, or a saved view
    assert "alerts" in browser.get("/alerts/").context
    browser.get("/alerts/?view=incidents", headers=HTMX)
    assert ListPreference.objects.get(user=reader).view == "incidents"
    assert "incidents" in browser.get("/alerts/").context
    for link in ("/alerts/?namespace=shop", "/alerts/?q=a", "/alerts/?group=rule", "/alerts/?view=alerts"):
        assert "incidents" not in browser.get(link).context, link
    browser.get("/alerts/?view=alerts", headers=HTMX)
    assert "alerts" in browser.get("/alerts/").context


def token_of(user: Any, filters: Filters) -> str:
    return next(row.choice for row in incident_page(user, filters).rows if not row.is_single)


def change(browser: Client, choice: str, filters: str = "", **more: str) -> Any:
    sent = {"alert": choice, "filters": filters, "status": "resolved", "verdict": "benign_true_positive", **more}
    return browser.post("/alerts/status/", sent, headers=HTMX)


def test_one_resolution_closes_what_the_page_showed_of_an_incident(
    estate: Estate, operator: Any, client_of: ClientOf
) -> None:
    install(estate, "/a", "/b", "/c")
    token = token_of(operator, Filters())
    install(estate, "/later")
    browser = client_of(operator)

    panel = browser.post("/alerts/decide/", {"alert": token, "status": "resolved"}, headers=HTMX)
    assert "Resolve 3 alerts" in panel.content.decode()
    answer = change(browser, token)

    assert answer.status_code == 200
    assert set(Alert.objects.filter(status="resolved").values_list("path", flat=True)) == {"/a", "/b", "/c"}
    assert Alert.objects.get(path="/later").status == "active"
    assert Alert.objects.values("incident").distinct().count() == 1


def test_an_incident_that_somebody_changed_is_not_resolved(
    estate: Estate, operator: Any, admin: Any, client_of: ClientOf
) -> None:
    install(estate, "/a", "/b", "/c")
    token = token_of(operator, Filters())
    triage.assign(admin, {Alert.objects.get(path="/b").pk: 1}, admin)

    answer = change(client_of(operator), token)

    assert answer.status_code == 409
    assert "have changed since this page was loaded" in answer.content.decode()
    assert set(Alert.objects.values_list("status", flat=True)) == {"active"}


def test_an_incident_is_resolved_within_the_filters_of_its_page(
    estate: Estate, operator: Any, client_of: ClientOf
) -> None:
    install(estate, "/tmp/c")
    install(estate, "/usr/a", "/usr/b")
    filters = Filters(values={"path": ("/usr/*",)})
    token = token_of(operator, filters)
    browser = client_of(operator)

    assert change(browser, token).status_code == 409  # without the filters it is another selection
    assert change(browser, token, filters.query).status_code == 200
    assert set(Alert.objects.filter(status="resolved").values_list("path", flat=True)) == {"/usr/a", "/usr/b"}


def test_a_chosen_incident_gives_no_access_to_alerts_out_of_scope(
    estate: Estate, operator: Any, admin: Any, client_of: ClientOf
) -> None:
    install(estate, "/a", "/b")
    token = token_of(admin, Filters())
    user = limited(operator, cluster=estate.sensors[2].cluster)

    assert change(client_of(user), token).status_code == 409
    assert set(Alert.objects.values_list("status", flat=True)) == {"active"}


@pytest.mark.parametrize(
    "choice",
    ["incident-1", "incident-1:2", "incident-1:2-zz", f"incident-{'9' * 19}:1-{'a' * 32}", "incident-x:1-" + "a" * 32],
)
def test_a_forged_choice_is_rejected(estate: Estate, operator: Any, client_of: ClientOf, choice: str) -> None:
    assert read_token(choice) is None
    assert change(client_of(operator), choice).status_code == 422


def test_a_token_is_of_these_alerts_at_these_revisions() -> None:
    alerts = [AlertState(pk, pk + 1, "active", now()) for pk in (3, 1, 2)]
    token = read_token(selection_token(7, alerts))
    assert token is not None
    assert token[:2] == (7, 3)
    for other in (
        alerts[:2],
        [*alerts, AlertState(4, 1, "active", now())],
        [alerts[0]._replace(revision=9), *alerts[1:]],
    ):
        assert read_token(selection_token(7, other))[2] != token[2]  # type: ignore[index]
    assert read_token(selection_token(7, reversed(alerts))) == token


def test_the_page_of_an_incident_shows_its_alerts_in_time_and_links_its_counts(
    estate: Estate, operator: Any, client_of: ClientOf
) -> None:
    start = now() - dt.timedelta(minutes=9)
    for number, path in enumerate(("/first", "/second", "/third")):
        install(estate, path, at=start + dt.timedelta(minutes=3 * number))
    third = Alert.objects.get(path="/third")
    triage.change_status(operator, {third.pk: 1}, triage.StatusChange(Status.RESOLVED, "true_positive"))
    pk = Incident.objects.get().pk
    browser = client_of(operator)

    page = browser.get(f"/alerts/incidents/{pk}/")
    assert [(entry.alert.path, entry.pause) for entry in page.context["entries"]] == [
        ("/first", None),
        ("/second", dt.timedelta(minutes=3)),
        ("/third", dt.timedelta(minutes=3)),
    ]
    assert page.context["incident"].name == "Package install in shop/cart, 3 files"
    for each in page.context["incident"].statuses:
        listed = browser.get(f"/alerts/?{each['query']}").context["alerts"]
        assert len(listed) == each["count"], each
    assert b"<html" not in browser.get(f"/alerts/incidents/{pk}/", headers=HTMX).content
    assert browser.get("/alerts/incidents/999999/").status_code == 404


def test_an_incident_out_of_scope_does_not_exist(estate: Estate, operator: Any, client_of: ClientOf) -> None:
    install(estate, "/a", "/b")
    user = limited(operator, cluster=estate.sensors[2].cluster)

    assert client_of(user).get(f"/alerts/incidents/{Incident.objects.get().pk}/").status_code == 404
