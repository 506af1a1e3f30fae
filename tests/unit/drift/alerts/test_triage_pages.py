"""Triage on the pages: panels, undo, comments, assignees, rules from alerts."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from drift.alerts.actions import triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert, AlertActivity, Incident, Status
from drift.policy.models import PolicyDraft
from sensor import policy
from tests.unit.drift.alerts.conftest import RULE, Estate, event, now, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]


ClientOf = Callable[[Any], Client]


HTMX = {"HX-Request": "true"}


def send(estate: Estate, index: int = 0, **changes: Any) -> None:
    ingest(estate.sensors[index], raw(event(**changes)))


@pytest.fixture
def alert(estate: Estate) -> Alert:
    ingest(estate.sensors[0], raw(event()))
    return Alert.objects.get()


def text_of(answer: Any) -> str:
    return str(answer.content.decode())


def test_one_resolution_closes_a_whole_incident(estate: Estate, operator: Any, client_of: ClientOf) -> None:
    for number in range(60):
        send(estate, process__path=f"/{number}")
    send(estate, process__path="/elsewhere", container__id="e" * 64, container__name="web")
    incident, browser = Incident.objects.order_by("pk")[0], client_of(operator)

    chosen = browser.get("/alerts/selection/", {"incident": incident.pk}, headers=HTMX).context["chosen"]
    sent = {"alert": [f"{pk}:{revision}" for pk, revision in chosen], "status": "dismissed", "verdict": "expected"}
    browser.post("/alerts/status/", sent, headers=HTMX)

    assert list(Alert.objects.filter(status="active").values_list("path", flat=True)) == ["/elsewhere"]


def test_the_panel_counts_the_chosen_alerts(operator: Any, client_of: ClientOf) -> None:
    sent = {"alert": [f"{number}:1" for number in range(1, 1001)], "status": "resolved"}

    page = client_of(operator).post("/alerts/decide/", sent, headers=HTMX).content.decode()

    assert "Resolve 1000 alerts" in page


def test_a_rule_from_an_alert_ignores_similar_ones_above_the_rule_that_decided(
    estate: Estate, operator: Any, client_of: ClientOf
) -> None:
    send(estate)
    alert = Alert.objects.get()

    answer = client_of(operator).post(f"/alerts/{alert.pk}/rule/")

    assert answer["Location"].startswith("/settings/policy/")
    rules = operator.draft.document["rules"]
    new = next(rule for rule in rules if rule["name"].startswith("Allow xmrig"))
    assert rules.index(new) + 1 == [rule["id"] for rule in rules].index(RULE)
    facts = {
        "provider": "azure",
        "account": "sub-1",
        "cluster_name": "blue",
        "namespace": "shop",
        "container_name": "app",
        "image_name": "ghcr.io/team/app:2.0",
        "process_path": alert.path,
        "process_sha256": "a" * 64,
    }
    compiled = policy.compile_policy(operator.draft.document)
    assert compiled.decide(facts).action == "ignore"
    other = {"process_path": "/other", "process_sha256": "b" * 64, "container_name": "sidecar", "cluster_name": "green"}
    for name, value in {**other, "process_sha256": None}.items():
        assert compiled.decide({**facts, name: value}).action == "alert"
    assert compiled.decide({**facts, "process_sha256": "b" * 64}).action == "alert"
    assert 29 <= (dt.datetime.fromisoformat(new["expires_at"]) - now()).days <= 30


def test_a_rule_from_an_alert_without_a_hash_needs_the_words(
    estate: Estate, operator: Any, client_of: ClientOf
) -> None:
    send(estate, process__sha256=None, process__hash_status="gone")
    alert, browser = Alert.objects.get(), client_of(operator)
    for what in ({}, {"do": "extend"}):
        page = browser.post(f"/alerts/{alert.pk}/rule/", what, follow=True).content.decode()
        assert "could not be hashed" in page
    assert not PolicyDraft.objects.exists()

    browser.post(f"/alerts/{alert.pk}/rule/", {"any_content": "on"})

    new = next(rule for rule in operator.draft.document["rules"] if rule["name"].startswith("Allow xmrig"))
    assert new["allow_list"] == [alert.path]


def test_an_alert_is_assigned_to_another_user(estate: Estate, operator: Any, admin: Any, client_of: ClientOf) -> None:
    send(estate)
    alert, browser = Alert.objects.get(), client_of(operator)
    assert f'value="{admin.pk}"' in browser.get(f"/alerts/{alert.pk}/").content.decode()

    browser.post("/alerts/assign/", {"alert": f"{alert.pk}:1", "assignee": admin.pk}, headers=HTMX)

    assert Alert.objects.get().assignee == admin


def test_dismissing_requires_a_resolution_and_then_confirms(alert: Alert, operator: Any, client_of: ClientOf) -> None:
    browser, chosen = client_of(operator), {"alert": f"{alert.pk}:1", "status": "dismissed"}

    refused = browser.post("/alerts/status/", chosen, headers=HTMX)
    done = browser.post("/alerts/status/", {**chosen, "verdict": "expected", "snooze": "30"}, headers=HTMX)

    assert (refused.status_code, "Choose a resolution" in text_of(refused)) == (422, True)
    assert "1 alert set to Dismissed" in text_of(done)
    assert json.loads(done["HX-Trigger-After-Swap"]) == {"alerts:changed": True, "panel:close": True}
    assert Alert.objects.get().verdict == "expected"


def test_without_scripts_the_resolution_is_chosen_on_a_page(alert: Alert, operator: Any, client_of: ClientOf) -> None:
    browser, chosen = client_of(operator), {"alert": f"{alert.pk}:1", "status": "resolved", "next": "/alerts/?q=x"}

    panel = browser.post("/alerts/status/", chosen)
    done = browser.post("/alerts/status/", {**chosen, "verdict": "true_positive"})

    assert (panel.status_code, "<!doctype html>" in text_of(panel)) == (422, True)
    assert (done.status_code, done["Location"]) == (302, "/alerts/?q=x")


def test_a_stale_page_gets_409_and_an_explanation(alert: Alert, operator: Any, admin: Any, client_of: ClientOf) -> None:
    triage.change_status(admin, {alert.pk: 1}, triage.StatusChange(Status.IN_PROGRESS))

    answer = client_of(operator).post("/alerts/status/", {"alert": f"{alert.pk}:1", "status": "active"}, headers=HTMX)

    assert answer.status_code == 409
    assert "Admin changed alert" in text_of(answer)
    assert answer["HX-Retarget"] == "#messages"


def test_undo_restores_an_alert(alert: Alert, operator: Any, client_of: ClientOf) -> None:
    browser = client_of(operator)
    browser.post("/alerts/status/", {"alert": f"{alert.pk}:1", "status": "in_progress"}, headers=HTMX)

    browser.post("/alerts/undo/", {"alert": f"{alert.pk}:2"}, headers=HTMX)

    assert Alert.objects.get().status == "active"


def test_no_redirect_leaves_the_site(alert: Alert, operator: Any, client_of: ClientOf) -> None:
    chosen = {"alert": f"{alert.pk}:1", "status": "in_progress", "next": "//evil.example/"}

    assert client_of(operator).post("/alerts/status/", chosen)["Location"] == "/alerts/"


def test_comments_are_markdown_without_raw_html(alert: Alert, operator: Any, client_of: ClientOf) -> None:
    browser = client_of(operator)
    browser.post(f"/alerts/{alert.pk}/comment/", {"text": "**Look** <img src=x> [x](javascript:1)"}, headers=HTMX)

    page = text_of(browser.get(f"/alerts/{alert.pk}/?tab=timeline"))

    assert "<strong>Look</strong>" in page
    assert "<img" not in page
    assert 'href="javascript' not in page
    assert AlertActivity.objects.get(kind="comment").actor == operator


def test_a_mentioned_user_finds_the_alert(alert: Alert, operator: Any, admin: Any, client_of: ClientOf) -> None:
    comment = "Is that yours, @ADMIN@example.com? Not a mention: x@operator@example.com"
    client_of(operator).post(f"/alerts/{alert.pk}/comment/", {"text": comment}, headers=HTMX)

    for user, found in ((admin, True), (operator, False)):
        page = text_of(client_of(user).get("/alerts/?mentions=me"))
        assert (f'id="alert-{alert.pk}"' in page) == found
