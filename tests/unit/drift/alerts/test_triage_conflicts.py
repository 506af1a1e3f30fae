"""A conflict keeps what its author typed, names who was first, and offers to apply the change again."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client

from drift.alerts.actions import suppression_rules, triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert, Resolution, Status, SuppressionRule
from tests.unit.drift.alerts.conftest import Estate, event, raw
from tests.unit.drift.alerts.test_suppression_content import fields_of

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[Any], Client]
HTMX = {"HX-Request": "true"}
TYPED = {"status": "dismissed", "verdict": "accepted_risk", "comment": "Checked <with> the team", "snooze": "30"}


@pytest.fixture
def alerts(estate: Estate) -> list[Alert]:
    for number in range(3):
        ingest(estate.sensors[0], raw(event(process__path=f"/tmp/{number}")))
    return list(Alert.objects.order_by("pk"))


def revisions(alerts: list[Alert]) -> list[str]:
    return [f"{each.pk}:{each.revision}" for each in alerts]


def resend(page: str, into: str = "") -> dict[str, Any]:
    """What the form of a page sends, with each of its alerts."""
    form = next(each for each in re.findall(r"<form.*?</form>", page, re.DOTALL) if into in each)
    chosen = [unescape(value) for value in re.findall(r'name="alert" value="([^"]+)"', form)]
    return {**fields_of(form), "alert": chosen}


def resolve_first(admin: Any, alert: Alert, comment: str = "") -> None:
    change = triage.StatusChange(Status.RESOLVED, Resolution.TRUE_POSITIVE, comment)
    triage.change_status(admin, {alert.pk: alert.revision}, change)


@pytest.mark.parametrize("headers", [HTMX, {}], ids=["panel", "without JavaScript"])
@pytest.mark.parametrize("chosen", [1, 3], ids=["one alert", "in bulk"])
def test_a_conflict_keeps_what_was_typed_and_is_applied_again(
    alerts: list[Alert], operator: Any, admin: Any, client_of: ClientOf, chosen: int, headers: dict[str, str]
) -> None:
    browser = client_of(operator)
    resolve_first(admin, alerts[0], "It is a miner")

    refused = browser.post("/alerts/status/", {**TYPED, "alert": revisions(alerts[:chosen])}, headers=headers)

    page = refused.content.decode()
    assert refused.status_code == 409
    if headers:
        assert refused["HX-Retarget"] == "#panel"
        assert "panel:close" not in refused["HX-Trigger-After-Swap"]
    assert re.search(
        r"Admin changed alert.*which is now <strong>Resolved \(True positive\)</strong>: changed the status", page
    )
    assert "It is a miner" in page
    again = resend(page, "decide-comment")
    assert {name: again[name] for name in TYPED} == TYPED
    assert set(Alert.objects.values_list("status", flat=True)) == {"resolved", "active"}

    assert browser.post("/alerts/status/", again, headers=headers).status_code in {200, 302}
    done = Alert.objects.filter(pk__in=[each.pk for each in alerts[:chosen]])
    assert set(done.values_list("status", "verdict")) == {("dismissed", "accepted_risk")}
    assert {each.activities.order_by("-id")[0].text for each in done} == {TYPED["comment"]}


def test_alerts_that_are_gone_are_left_out_of_the_second_try(
    alerts: list[Alert], operator: Any, client_of: ClientOf
) -> None:
    browser, sent = client_of(operator), revisions(alerts)
    alerts[1].delete()

    page = browser.post("/alerts/status/", {**TYPED, "alert": sent}, headers=HTMX).content.decode()

    assert "1 of the alerts no longer exists" in page
    assert resend(page, "decide-comment")["alert"] == [sent[0], sent[2]]
    Alert.objects.all().delete()
    page = browser.post("/alerts/status/", {**TYPED, "alert": sent}, headers=HTMX).content.decode()
    assert "No alert is left" in page
    assert TYPED["comment"] in unescape(page)


@pytest.mark.parametrize("headers", [HTMX, {}], ids=["page", "without JavaScript"])
@pytest.mark.parametrize(
    ("url", "sent"),
    [("/alerts/status/", {"status": "in_progress"}), ("/alerts/assign/", {"assignee": "me"})],
    ids=["status", "assignee"],
)
def test_a_change_without_a_panel_is_offered_again(
    alerts: list[Alert],
    operator: Any,
    admin: Any,
    client_of: ClientOf,
    url: str,
    sent: dict[str, str],
    headers: dict[str, str],
) -> None:
    browser = client_of(operator)
    triage.assign(admin, {alerts[0].pk: 1}, admin)

    refused = browser.post(url, {**sent, "alert": revisions(alerts), "next": "/alerts/"}, headers=headers)

    page = refused.content.decode()
    assert (refused.status_code, "Admin changed alert" in page) == (409, True)
    again = resend(page, "Apply again")
    assert {name: again[name] for name in sent} == sent
    assert browser.post(url, again, headers=headers).status_code in {200, 302}
    changed = Alert.objects.get(pk=alerts[2].pk)
    assert changed.status == "in_progress" or changed.assignee == operator


def test_what_someone_else_changed_is_not_offered_to_be_undone(
    alerts: list[Alert], operator: Any, admin: Any, client_of: ClientOf
) -> None:
    triage.change_status(operator, {alerts[0].pk: 1}, triage.StatusChange(Status.IN_PROGRESS))
    triage.assign(admin, {alerts[0].pk: 2}, admin)

    page = client_of(operator).post("/alerts/undo/", {"alert": f"{alerts[0].pk}:2"}, headers=HTMX).content.decode()

    assert "Admin changed alert" in page
    assert "assigned the alert" in page
    assert "Apply again" not in page


@pytest.mark.parametrize("text", ["", "a\u202eb", "x" * 10_001])
def test_a_comment_that_is_refused_is_kept(alerts: list[Alert], operator: Any, client_of: ClientOf, text: str) -> None:
    browser, url = client_of(operator), f"/alerts/{alerts[0].pk}/comment/"

    refused = browser.post(url, {"text": text}, headers=HTMX)
    assert (refused.status_code, "HX-Trigger-After-Swap" in refused.headers) == (422, False)

    page = browser.post(url, {"text": text})
    assert (page.status_code, fields_of(page.content.decode())["text"]) == (422, text)


def test_a_suppression_rule_that_someone_changed_is_applied_again(
    estate: Estate, operator: Any, admin: Any, client_of: ClientOf
) -> None:
    condition = {"property": "namespace", "any_of": [{"operator": "equals", "value": "shop"}]}
    draft = suppression_rules.SuppressionDraft("Shop", [condition])
    rule = suppression_rules.save(operator, draft)
    browser = client_of(operator)
    panel = fields_of(browser.get("/alerts/suppression/rule/", {"rule": rule.pk}, headers=HTMX).content.decode())
    suppression_rules.save(admin, suppression_rules.SuppressionDraft("Shops", [condition]), rule.pk, 1)
    typed = {**panel, "comment": "Long words", "value-container_name": "app"}

    refused = browser.post("/alerts/suppression/rule/", typed, headers=HTMX)

    page = refused.content.decode()
    assert (refused.status_code, "Admin changed this rule" in page, "<strong>Shops</strong>" in page) == (
        409,
        True,
        True,
    )
    again = fields_of(page)
    assert (again["comment"], again["value-container_name"], again["revision"]) == ("Long words", "app", "2")
    assert browser.post("/alerts/suppression/rule/", again, headers=HTMX).status_code == 200
    assert SuppressionRule.objects.get().comment == "Long words"

    SuppressionRule.objects.all().delete()
    gone = browser.post("/alerts/suppression/rule/", again, headers=HTMX)
    assert (gone.status_code, "Someone deleted this rule" in gone.content.decode()) == (409, True)
    assert browser.post("/alerts/suppression/rule/", fields_of(gone.content.decode())).status_code == 302
    assert SuppressionRule.objects.get().name == "Shop"
