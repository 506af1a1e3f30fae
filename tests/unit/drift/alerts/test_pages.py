"""The pages of alerts, and the API beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from drift.alerts.actions import triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.domain.process_facts import ancestry
from drift.alerts.models import Alert, Resolution, Status
from tests.unit.drift.alerts.conftest import VERSION, Estate, event, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[Any], Client]
HTMX = {"HX-Request": "true"}


def fill(estate: Estate, count: int) -> None:
    ingest(estate.sensors[0], raw(*(event(process__path=f"/tmp/drift-{n:04}") for n in range(count))))


@pytest.fixture
def alert(estate: Estate) -> Alert:
    ingest(estate.sensors[0], raw(event()))
    return Alert.objects.get()


def text_of(answer: Any) -> str:
    return str(answer.content.decode())


def test_the_list_shows_open_alerts_with_the_columns_that_azure_shows(
    alert: Alert, reader: Any, client_of: ClientOf
) -> None:
    page = text_of(client_of(reader).get("/alerts/"))

    for words in ("A drift binary detected executing in the container", "blue", "shop", "Execution", "Active", "High"):
        assert words in page
    assert "Change status" not in page, "a reader changes nothing"


def test_closed_alerts_are_shown_only_on_request(alert: Alert, operator: Any, client_of: ClientOf) -> None:
    triage.change_status(operator, {alert.pk: 1}, triage.StatusChange(Status.RESOLVED, Resolution.TRUE_POSITIVE))
    browser = client_of(operator)

    assert f"alert-{alert.pk}" not in text_of(browser.get("/alerts/"))
    assert f"alert-{alert.pk}" in text_of(browser.get("/alerts/?status=any"))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=XMRIG", True),
        ("q=" + "a" * 64, True),
        ("q=cart-7d9f", True),
        ("q=nothing", False),
        ("q=100%25", False),
        ("severity=high", True),
        ("namespace=shop", True),
        ("namespace=other", False),
        ("kind=new_file", True),
        ("kind=fileless", False),
        ("provider=azure", True),
        ("provider=aws", False),
        ("assignee=none", True),
        ("assignee=me", False),
        ("sample=yes", False),
        ("cluster=x", False),
        ("outcome=none&image=ghcr.io/team/app:1.2", True),
    ],
)
def test_the_list_is_filtered(alert: Alert, reader: Any, client_of: ClientOf, query: str, found: bool) -> None:
    page = text_of(client_of(reader).get(f"/alerts/?{query}"))

    assert (f'id="alert-{alert.pk}"' in page) == found


def test_an_alerts_number_finds_it(alert: Alert, reader: Any, client_of: ClientOf) -> None:
    assert f'id="alert-{alert.pk}"' in text_of(client_of(reader).get(f"/alerts/?q=%23{alert.pk}"))


@pytest.mark.parametrize(
    "sort", ["", "-started", "started", "-updated", "name", "resource", "group", "-status", "severity"]
)
def test_pages_hold_every_alert_once(estate: Estate, reader: Any, api_of: ClientOf, sort: str) -> None:
    fill(estate, 7)
    client, seen, after = api_of(reader), [], ""
    for _ in range(4):
        answer = client.get(f"/api/v1/alerts/?size=2&sort={sort}&after={after}").json()
        seen += [each["id"] for each in answer["alerts"]]
        after = answer["next"] or ""

    assert after == ""
    assert len(seen) == len(set(seen)) == 7


def test_a_forged_cursor_shows_the_first_page(alert: Alert, reader: Any, client_of: ClientOf) -> None:
    assert client_of(reader).get("/alerts/?after=bogus").status_code == 200


def test_the_list_takes_as_many_queries_for_many_alerts_as_for_one(
    estate: Estate, reader: Any, client_of: ClientOf, django_assert_max_num_queries: Any
) -> None:
    fill(estate, 60)
    browser = client_of(reader)
    with django_assert_max_num_queries(12):
        browser.get("/alerts/")


@pytest.mark.parametrize("tab", ["details", "why", "timeline", "tree", "action", "bogus"])
def test_every_tab_of_an_alert_opens_with_few_queries(
    alert: Alert, operator: Any, client_of: ClientOf, django_assert_max_num_queries: Any, tab: str
) -> None:
    browser = client_of(operator)
    with django_assert_max_num_queries(10):
        answer = browser.get(f"/alerts/{alert.pk}/?tab={tab}")

    assert answer.status_code == 200
    assert "/var/www/html/xmrig" in text_of(answer)


def test_the_explanation_names_each_rule_and_its_first_part_that_did_not_match(
    alert: Alert, reader: Any, client_of: ClientOf
) -> None:
    page = text_of(client_of(reader).get(f"/alerts/{alert.pk}/?tab=why"))

    assert "The resource scope does not match: namespace" in page
    assert "equals “kube-system”" in page
    assert "Alert on the shop" in page
    assert f"v{VERSION}" in page


def test_the_ancestry_names_each_process_once() -> None:
    bash, init = {"name": "bash", "pid": 12}, {"name": "tini", "pid": 1}
    process = {"name": "x", "pid": 20, "parent": bash, "ancestors": [bash, init]}

    assert ancestry(process) == [("tini", 1), ("bash", 12), ("x", 20)]
    assert ancestry({"name": "x"}) == [("x", None)]


def test_a_name_chosen_by_an_attacker_is_never_markup(estate: Estate, reader: Any, client_of: ClientOf) -> None:
    evil = "<script>alert(1)</script>"
    ingest(estate.sensors[0], raw(event(process__path=f"/{evil}", process__argv=[evil], container__pod_name=evil)))
    browser, alert = client_of(reader), Alert.objects.get()

    for url in (
        "/alerts/",
        *(f"/alerts/{alert.pk}/?tab={tab}" for tab in ("details", "why", "timeline", "tree", "action")),
    ):
        assert evil not in text_of(browser.get(url))


def test_an_alert_shows_its_notifications_and_links_admins_to_the_settings(
    alert: Alert, operator: Any, admin: Any, client_of: ClientOf
) -> None:
    for user, may in ((operator, False), (admin, True)):
        page = text_of(client_of(user).get(f"/alerts/{alert.pk}/?tab=action"))
        assert "Trigger automated response" in page
        assert "Configure email notification settings" in page
        assert ('href="/notifications/settings/' in page) == may
        assert ("A Security Admin can change them." in page) != may


def test_a_program_that_was_never_a_file_has_no_file_to_copy(estate: Estate, reader: Any, client_of: ClientOf) -> None:
    ingest(estate.sensors[0], raw(event(), event(kind="fileless", process__path="/memfd:a")))

    for alert, copied in zip(Alert.objects.order_by("path"), (False, True), strict=True):
        page = text_of(client_of(reader).get(f"/alerts/{alert.pk}/?tab=action"))
        assert "describe pod" in page
        assert ("A copy of the file" in page) == copied


def test_an_open_list_polls_new_alerts_and_changed_rows(
    estate: Estate, alert: Alert, reader: Any, client_of: ClientOf
) -> None:
    browser, url = client_of(reader), f"/alerts/live/?since={alert.pk}&shown={alert.pk}"
    first = browser.get(url)
    assert browser.get(url, headers={"If-None-Match": first["ETag"]}).status_code == 304

    ingest(estate.sensors[0], raw(event(), event(process__path="/other")))

    polled = browser.get(url, headers={"If-None-Match": first["ETag"]}).json()
    assert polled["new"] == [Alert.objects.get(path="/other").pk]
    assert "× 2" in polled["rows"][str(alert.pk)]


def test_an_open_alert_reloads_after_a_change(estate: Estate, alert: Alert, reader: Any, client_of: ClientOf) -> None:
    browser = client_of(reader)
    etag = browser.get(f"/alerts/{alert.pk}/").context["etag"]
    assert browser.get(f"/alerts/{alert.pk}/live/", {"etag": etag}).status_code == 204

    ingest(estate.sensors[0], raw(event()))

    assert browser.get(f"/alerts/{alert.pk}/live/", {"etag": etag}).status_code == 200


def test_the_api_returns_and_changes_alerts(alert: Alert, operator: Any, api_of: ClientOf) -> None:
    client = api_of(operator)
    assert client.get(f"/api/v1/alerts/{alert.pk}/").json()["policy"]["number"] == VERSION
    change = {"alerts": {str(alert.pk): 1}, "status": "dismissed", "verdict": "expected"}

    done = client.post("/api/v1/alerts/status/", json.dumps(change), content_type="application/json")
    again = client.post("/api/v1/alerts/status/", json.dumps(change), content_type="application/json")

    assert (done.status_code, done.json()) == (200, {"alerts": {str(alert.pk): 2}})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


def test_a_reader_cannot_triage(alert: Alert, reader: Any, api_of: ClientOf, client_of: ClientOf) -> None:
    assert api_of(reader).post("/api/v1/alerts/status/").status_code == 403
    assert client_of(reader).post("/alerts/status/", {"alert": f"{alert.pk}:1", "status": "active"}).status_code == 403
