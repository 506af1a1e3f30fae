"""The monthly report: what was dismissed, by whom, and what of it was later seen elsewhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from drift.alerts.actions import triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert, Resolution, Status
from drift.alerts.queries import hidden_alerts as hidden_alerts_module
from drift.alerts.queries.hidden_alerts import hidden_alerts
from tests.unit.drift.alerts.conftest import Estate, event, now, raw, save_reviewed
from tests.unit.drift.alerts.test_suppression_rules import TOOLS

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[Any], Client]
URL = "/alerts/suppression/report/"


def change(actor: Any, alert: Alert, status: Status, resolution: Resolution) -> None:
    triage.change_status(actor, {alert.pk: alert.revision}, triage.StatusChange(status, resolution))


@pytest.fixture
def hidden(estate: Estate, operator: Any, admin: Any) -> dict[str, Alert]:
    """Dismissed by a rule, by two people, and what was never dismissed."""
    save_reviewed(operator, TOOLS)
    for number, path in enumerate(("/opt/tools/gdb", "/a", "/b", "/open")):
        ingest(estate.sensors[0], raw(event(process__path=path, process__sha256=f"{number}" * 64)))
    alerts = {alert.path: alert for alert in Alert.objects.all()}
    change(operator, alerts["/a"], Status.DISMISSED, Resolution.EXPECTED)
    change(admin, alerts["/b"], Status.DISMISSED, Resolution.FALSE_POSITIVE)
    return alerts


def month(user: Any) -> Any:
    today = now().date()
    return hidden_alerts(user, today.replace(day=1), today + dt.timedelta(days=1))


def test_dismissed_alerts_are_counted_by_rule_and_by_person(hidden: dict[str, Alert], reader: Any) -> None:
    found = month(reader)

    assert found.total == 3
    assert [(each.who, each.alerts) for each in found.by_rule] == [("Our tools", 1)]
    assert {each[:3] for each in found.by_person} == {("Operator", "Expected", 1), ("Admin", "False positive", 1)}
    assert found.seen_elsewhere == []
    yesterday = now().date() - dt.timedelta(days=40)
    assert hidden_alerts(reader, yesterday, yesterday + dt.timedelta(days=30)).total == 0


def test_content_that_ran_elsewhere_since_or_was_an_attack_is_named_first(
    hidden: dict[str, Alert], estate: Estate, operator: Any, client_of: ClientOf
) -> None:
    again = event(process__path="/x", process__sha256="1" * 64, container__namespace="bank", container__name="db")
    ingest(estate.sensors[2], raw(again, event(process__path="/y", process__sha256="0" * 64)))
    change(operator, Alert.objects.get(path="/y"), Status.RESOLVED, Resolution.TRUE_POSITIVE)

    found = month(operator).seen_elsewhere

    assert [each.alert.path for each in found] == ["/opt/tools/gdb", "/a"]
    assert found[0].attacks == [Alert.objects.get(path="/y").pk]
    assert len(found[1].workloads) == 1
    page = client_of(operator).get(URL).content.decode()
    assert "bank/cart/db" in page
    assert f"Alert {Alert.objects.get(path='/y').pk}</span>" in page
    assert "Suppressed by Our tools" in page


@pytest.mark.parametrize("asked", ["", "nonsense", "2026-13", "0001-01", "9999-12", "1999-12", "²", "2026-11-30"])
def test_any_month_is_answered(hidden: dict[str, Alert], reader: Any, client_of: ClientOf, asked: str) -> None:
    assert client_of(reader).get(URL, {"month": asked}).status_code == 200


def test_the_number_of_queries_does_not_grow(
    hidden: dict[str, Alert], estate: Estate, reader: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        ingest(estate.sensors[0], raw(event(process__path=f"/opt/tools/{number}", process__sha256=f"{number:064x}")))
    with django_assert_max_num_queries(5):
        assert month(reader).total == 23


def test_a_content_that_is_everywhere_is_read_up_to_a_bound_and_hides_no_other(
    hidden: dict[str, Alert], estate: Estate, operator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hidden_alerts_module, "MAX_SIGHTINGS", 2)
    wide = [event(process__path="/x", process__sha256="1" * 64, container__namespace=f"n-{n}") for n in range(5)]
    rare = event(process__path="/z", process__sha256="2" * 64, container__namespace="bank")
    ingest(estate.sensors[2], raw(rare, *wide))

    found = {each.alert.path: each for each in month(operator).seen_elsewhere}

    assert len(found["/a"].workloads) == 2
    assert len(found["/b"].workloads) == 1
