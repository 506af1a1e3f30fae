"""The suppression rules' page and panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert, SuppressionRule
from tests.unit.drift.alerts.conftest import Estate, event, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[Any], Client]
HTMX = {"HX-Request": "true"}
URL = "/alerts/suppression/rule/"
FILLED = {
    "name": "Debuggers",
    "enabled": "on",
    "reason": "expected",
    "operator-process_path": "starts_with",
    "value-process_path": "/opt/tools/\n/var/www",
    "operator-namespace": "equals",
    "value-namespace": "shop",
}


@pytest.fixture
def alert(estate: Estate) -> Alert:
    ingest(estate.sensors[0], raw(event()))
    return Alert.objects.get()


def test_the_panel_makes_a_rule_that_the_list_shows(operator: Any, client_of: ClientOf) -> None:
    browser = client_of(operator)

    saved = browser.post(URL, FILLED, headers=HTMX)

    assert "Debuggers saved" in saved.content.decode()
    assert SuppressionRule.objects.get().conditions == [
        {
            "property": "process_path",
            "any_of": [
                {"operator": "starts_with", "value": "/opt/tools/"},
                {"operator": "starts_with", "value": "/var/www"},
            ],
        },
        {"property": "namespace", "any_of": [{"operator": "equals", "value": "shop"}]},
    ]
    assert "starts with “/opt/tools/” or starts with “/var/www”" in browser.get("/alerts/suppression/").content.decode()


def test_errors_are_shown_at_their_fields_and_the_input_is_kept(operator: Any, client_of: ClientOf) -> None:
    refused = client_of(operator).post(URL, {**FILLED, "name": ""}, headers=HTMX)

    page = refused.content.decode()
    assert (refused.status_code, 'id="name-error"' in page, "/opt/tools/" in page) == (422, True, True)


def test_a_rule_with_a_last_day_needs_the_day_and_one_without_has_none(operator: Any, client_of: ClientOf) -> None:
    browser = client_of(operator)

    refused = browser.post(URL, {**FILLED, "expiration": "date"}, headers=HTMX)
    assert (refused.status_code, "Choose a date." in refused.content.decode()) == (422, True)

    browser.post(URL, {**FILLED, "expiration": "none", "expires": "2999-01-01"})
    assert SuppressionRule.objects.get().expires_at is None


def test_a_rule_that_somebody_else_edited_cannot_be_saved(operator: Any, client_of: ClientOf) -> None:
    browser = client_of(operator)
    browser.post(URL, FILLED)
    rule = SuppressionRule.objects.get()
    assert "/opt/tools/" in browser.get(URL, {"rule": rule.pk}).content.decode()
    change = {**FILLED, "rule": rule.pk, "revision": 1, "expiration": "date", "expires": "2999-01-01"}

    assert browser.post(URL, change).status_code == 302
    assert browser.post(URL, change).status_code == 409
    assert SuppressionRule.objects.get().expires_at.year == 2999  # type: ignore[union-attr]


def test_a_rule_from_an_alert_is_filled_with_the_alert_s_properties(
    alert: Alert, operator: Any, client_of: ClientOf
) -> None:
    page = client_of(operator).get(URL, {"alert": alert.pk}, headers=HTMX).content.decode()

    for words in ("/var/www/html/xmrig", "ghcr.io/team/app<", "shop"):
        assert words in page


def test_simulate_shows_the_count_and_some_alerts(alert: Alert, operator: Any, client_of: ClientOf) -> None:
    page = client_of(operator).post("/alerts/suppression/simulate/", FILLED, headers=HTMX).content.decode()

    assert "<strong>1</strong> of 1 alert" in page
    assert f"Alert {alert.pk}" in page


def test_deleting_a_rule_is_confirmed(operator: Any, client_of: ClientOf) -> None:
    browser = client_of(operator)
    browser.post(URL, FILLED)
    rule = SuppressionRule.objects.get()

    browser.post("/alerts/suppression/delete/", {"rule": rule.pk, "revision": 1}, headers=HTMX)

    assert not SuppressionRule.objects.exists()


def test_a_rule_that_somebody_else_changed_is_not_deleted_and_the_page_shows_who(
    operator: Any, admin: Any, client_of: ClientOf
) -> None:
    browser = client_of(operator)
    browser.post(URL, FILLED)
    rule = SuppressionRule.objects.get()
    client_of(admin).post(URL, {**FILLED, "comment": "Wider", "rule": rule.pk, "revision": 1})
    seen = {"rule": rule.pk, "revision": 1}

    answer = browser.post("/alerts/suppression/delete/", seen, headers=HTMX)
    assert answer.status_code == 409
    assert "Admin changed this rule" in answer.content.decode()
    assert "<table" not in answer.content.decode(), "the answer takes the place of the page's messages"
    assert "suppression:changed" in answer["HX-Trigger-After-Swap"], "the list shows the rule as it is now"
    page = browser.post("/alerts/suppression/delete/", seen, follow=True).content.decode()
    assert "Admin changed this rule" in page
    SuppressionRule.objects.all().delete()
    assert "has deleted this rule" in browser.post("/alerts/suppression/delete/", seen, headers=HTMX).content.decode()


def test_a_reader_sees_rules_and_cannot_create_any(reader: Any, client_of: ClientOf) -> None:
    browser = client_of(reader)

    assert browser.get("/alerts/suppression/").status_code == 200
    assert browser.post(URL, FILLED).status_code == 403
