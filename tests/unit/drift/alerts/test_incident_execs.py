"""The executions on an incident's timeline: those before, between and after its alerts."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_plus

import pytest
from django.test import Client

from accounts.models import ScopeEntry, User
from drift.alerts.models import Alert, StoredExec
from drift.alerts.queries import incident_execs, incident_timeline
from tests.unit.drift.alerts.conftest import Estate, event, now
from tests.unit.drift.alerts.test_stored_execs import an_exec, report, send

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[User], Client]
Post = Callable[..., Any]
START = now().replace(microsecond=0) - dt.timedelta(minutes=30)


def at(second: float) -> dt.datetime:
    return START + dt.timedelta(seconds=second)


def ran(second: float, *argv: str, exec_id: str = "", **more: Any) -> dict[str, Any]:
    found = {"exec_id": exec_id or str(uuid.uuid4()), "at": at(second).isoformat(), "pid": 7, "path": argv[0]}
    return an_exec(**found, argv=list(argv), started_at=None, ancestors=[], **more)


class Incident:
    """Two alerts of one container, a minute apart, and what it executed around them."""

    def __init__(self, estate: Estate, post: Post) -> None:
        self.estate = estate
        self.ids = [str(uuid.uuid4()), str(uuid.uuid4())]
        first = event(event_id=self.ids[0], at=at(0), process__path="/tmp/a")
        second = event(event_id=self.ids[1], at=at(60), process__path="/tmp/b")
        assert post(estate.client(), first, second).status_code == 200
        self.pk = Alert.objects.values_list("incident", flat=True).distinct().get()
        assert self.pk

    def report(self, *execs: dict[str, Any], **changes: Any) -> None:
        for start in range(0, len(execs), 10):
            assert send(self.estate.client(), report(*execs[start : start + 10], **changes)).status_code == 200

    def page(self, client: Client, **query: str) -> Any:
        answer = client.get(f"/alerts/incidents/{self.pk}/", query)
        assert answer.status_code == 200
        return answer

    def gaps(self, client: Client, **query: str) -> list[list[str]]:
        """Return the command lines before each alert of the page, and after the last."""
        context = self.page(client, **query).context
        gaps = [*(entry.execs for entry in context["entries"]), context["after"]]
        return [[each.ran.command for each in gap] for gap in gaps]


@pytest.fixture
def incident(estate: Estate, post: Post) -> Incident:
    return Incident(estate, post)


def test_executions_stand_between_the_alerts_in_the_order_of_time(
    incident: Incident, reader: User, client_of: ClientOf
) -> None:
    incident.report(
        ran(90, "rm", "-rf", "/tmp/a"), ran(-20, "curl", "https://x/"), ran(30, "id"), ran(31, "nproc"),
        ran(0, "/tmp/a", exec_id=incident.ids[0]), ran(60, "/tmp/b", exec_id=incident.ids[1]),
    )  # fmt: skip

    assert incident.gaps(client_of(reader)) == [["curl https://x/"], ["id", "nproc"], ["rm -rf /tmp/a"]]
    page = incident.page(client_of(reader)).content.decode()
    assert page.index("curl https://x/") < page.index("/tmp/a</bdi>") < page.index("nproc") < page.index("/tmp/b</bdi>")
    assert page.index("/tmp/b</bdi>") < page.index("rm -rf")


def test_a_drifted_execution_of_another_alert_is_a_link_and_not_a_line_of_the_incident(
    incident: Incident, estate: Estate, post: Post, reader: User, client_of: ClientOf
) -> None:
    other = str(uuid.uuid4())
    above = [{"name": "cron", "pid": 999}]
    post(estate.client(), event(event_id=other, at=at(40), kind="fileless", process__path="/memfd:x",
                                process__parent=None, process__ancestors=above))  # fmt: skip
    another = Alert.objects.get(path="/memfd:x")
    assert another.incident_id != incident.pk
    incident.report(ran(40, "/memfd:x", exec_id=other))

    assert incident.gaps(client_of(reader)) == [[], ["/memfd:x"], []]
    assert f'href="/alerts/{another.pk}/">Alert {another.pk}' in incident.page(client_of(reader)).content.decode()


def test_each_page_has_the_executions_of_its_own_time_once(
    incident: Incident, reader: User, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incident_timeline, "PAGE_SIZE", 1)
    incident.report(ran(-5, "before"), ran(30, "between"), ran(61, "after"))
    browser = client_of(reader)

    assert incident.gaps(browser) == [["before"], []]
    following = incident.page(browser).context["next"].partition("after=")[2]
    assert incident.gaps(browser, after=unquote_plus(following)) == [["between"], ["after"]]


def test_a_page_shows_so_many_and_says_that_there_are_more(
    incident: Incident, reader: User, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incident_execs, "MAX_EXECS", 5)
    incident.report(*(ran(1 + number, f"run-{number}") for number in range(20)))

    assert incident.gaps(client_of(reader))[1] == [f"run-{number}" for number in range(5)]
    assert "its own" in incident.page(client_of(reader)).content.decode()


def test_what_ran_long_before_or_after_is_not_of_the_incident(
    incident: Incident, reader: User, client_of: ClientOf
) -> None:
    incident.report(*(ran(-600 + number, f"run-{number}") for number in range(64)))
    incident.report(*(ran(-900 + number, f"old-{number}") for number in range(64)))
    incident.report(ran(60 + 12 * 60, "later"))

    before, between, after = incident.gaps(client_of(reader))
    assert before == [f"run-{number}" for number in range(64)]
    assert (between, after) == ([], [])


def test_executions_that_another_sensor_claims_or_a_scope_leaves_out_are_not_shown(
    incident: Incident, estate: Estate, reader: User, client_of: ClientOf
) -> None:
    assert send(estate.client(1), report(ran(30, "claimed"))).status_code == 200
    incident.report(ran(31, "own"))
    assert incident.gaps(client_of(reader))[1] == ["own"]

    StoredExec.objects.update(namespace="elsewhere")
    User.objects.filter(pk=reader.pk).update(is_scoped=True)
    ScopeEntry.objects.create(user=reader, cluster=estate.sensors[0].cluster, namespace="shop")
    assert incident.gaps(client_of(User.objects.get(pk=reader.pk)))[1] == []


def test_markup_and_hidden_characters_are_shown_as_what_they_are(
    incident: Incident, reader: User, client_of: ClientOf
) -> None:
    incident.report(ran(30, "sh", "-c", "</code><script>x()</script>", "\u202egnp"))
    page = incident.page(client_of(reader)).content.decode()

    assert "<script>x()" not in page
    assert "\u202e" not in page
    assert "\\u202egnp" in page


def test_the_page_says_where_nothing_is_recorded(incident: Incident, reader: User, client_of: ClientOf) -> None:
    assert "No other executions of these containers are recorded." in incident.page(client_of(reader)).content.decode()
