"""Input that no column, calendar or number can hold is rejected, never a server error."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert
from tests.unit.drift.alerts.conftest import Estate, event, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[Any], Client]
HTMX = {"HX-Request": "true"}
HUGE = "9" * 5_000


@pytest.fixture
def alert(estate: Estate) -> Alert:
    ingest(estate.sensors[0], raw(event(), event(process__path="/other")))
    first: Alert = Alert.objects.order_by("pk")[0]
    return first


def forged_cursor(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "url",
    [
        "/alerts/?q=a%00b",
        "/alerts/?q=%C2%B2",
        f"/alerts/live/?since={HUGE}&shown=%C2%B2,{HUGE}",
        "/alerts/live/?since=%C2%B2",
        "/alerts/suppression/rule/?rule=%C2%B2",
        f"/alerts/suppression/rule/?alert={HUGE}",
    ],
)
def test_an_odd_query_gets_a_response(alert: Alert, operator: Any, client_of: ClientOf, url: str) -> None:
    assert client_of(operator).get(url).status_code == 200


@pytest.mark.parametrize(
    "after",
    [
        forged_cursor("-started", "abc", 1),
        forged_cursor("-started", None, 1),
        forged_cursor("-started", 1e400, 1),
        forged_cursor("-started", {"at": "2020-01-01T00:00:00"}, 1),
        forged_cursor("-started", {"at": "0001-01-01T00:00:00+14:00"}, 1),
        forged_cursor("-started", {"at": "2020-01-01T00:00:00Z"}, 10**30),
        forged_cursor("-started", {"at": "2020-01-01T00:00:00Z"}, None),
        forged_cursor("status", "active", 1),
        "W" * 4_000,
    ],
)
def test_a_forged_cursor_shows_the_first_page(alert: Alert, reader: Any, client_of: ClientOf, after: str) -> None:
    answer = client_of(reader).get("/alerts/", {"after": after})

    assert (answer.status_code, len(answer.context["alerts"])) == (200, 2)


@pytest.mark.parametrize("value", ["a\0b", "\ud800", 3])
def test_a_forged_name_shows_the_first_page(alert: Alert, reader: Any, client_of: ClientOf, value: object) -> None:
    answer = client_of(reader).get("/alerts/", {"after": forged_cursor("group", value, 1), "sort": "group"})

    assert (answer.status_code, len(answer.context["alerts"])) == (200, 2)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("/alerts/{pk}/comment/", {"text": "a\0b"}),
        ("/alerts/status/", {"alert": "{pk}:1", "status": "resolved", "verdict": "true_positive", "comment": "a\0b"}),
        ("/alerts/status/", {"alert": "\xb2:1", "status": "active"}),
        ("/alerts/status/", {"alert": f"{HUGE}:1", "status": "active"}),
        (
            "/alerts/status/",
            {"alert": "{pk}:1", "status": "dismissed", "verdict": "expected", "snooze": "date", "until": "9999-12-31"},
        ),
        ("/alerts/suppression/rule/", {"name": "a\0b", "value-namespace": "x", "reason": "other"}),
        ("/alerts/suppression/rule/", {"name": "a", "value-namespace": "x", "reason": "other", "comment": "a\0"}),
        (
            "/alerts/suppression/rule/",
            {"name": "a", "value-namespace": "x", "reason": "other", "expiration": "date", "expires": "9999-12-31"},
        ),
    ],
)
def test_an_odd_change_is_rejected(
    alert: Alert, operator: Any, client_of: ClientOf, url: str, sent: dict[str, str]
) -> None:
    body = {key: value.replace("{pk}", str(alert.pk)) for key, value in sent.items()}

    answer = client_of(operator).post(url.replace("{pk}", str(alert.pk)), body, headers=HTMX)

    assert answer.status_code == 422
    alert.refresh_from_db()
    assert alert.status == "active"


def test_an_invalid_assignee_unassigns_the_alert(alert: Alert, operator: Any, client_of: ClientOf) -> None:
    sent = {"alert": f"{alert.pk}:1", "assignee": "\xb2"}

    assert client_of(operator).post("/alerts/assign/", sent, headers=HTMX).status_code == 200
    alert.refresh_from_db()
    assert alert.assignee is None


def test_a_view_whose_name_holds_nul_is_not_saved(operator: Any, client_of: ClientOf) -> None:
    answer = client_of(operator).post("/alerts/views/", {"name": "a\0", "query": "q=x"}, follow=True)

    assert "Character 2 is not allowed: U+0000 control character" in answer.content.decode()
