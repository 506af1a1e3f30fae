"""Every part of the charts links to the alerts that it counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from drift.alerts.actions import triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert, Resolution, Status
from drift.alerts.queries.charts import Charts
from tests.unit.drift.alerts.conftest import Estate, event, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[Any], Client]


@pytest.fixture
def browser(estate: Estate, operator: Any, client_of: ClientOf) -> Client:
    """A client that sees an alert of each status; the active one has no namespace."""
    ingest(estate.sensors[0], raw(*(event(process__path=f"/{status}") for status in Status.values[1:])))
    ingest(estate.sensors[0], raw(event(process__path="/active", container__namespace="", container__pod_name="")))
    resolutions = {Status.RESOLVED: Resolution.TRUE_POSITIVE, Status.DISMISSED: Resolution.EXPECTED}
    for status in Status.values[1:]:
        pk = Alert.objects.get(path=f"/{status}").pk
        triage.change_status(
            operator, {pk: 1}, triage.StatusChange(Status(status), resolutions.get(Status(status), ""))
        )
    return client_of(operator)


def charts_of(browser: Client, query: str = "") -> Charts:
    found: Charts = browser.get(f"/alerts/charts/?{query}").context["charts"]
    return found


def listed(browser: Client, query: str) -> set[str]:
    return {alert["path"] for alert in browser.get(f"/alerts/?{query}").context["alerts"]}


def test_mean_times_link_to_the_alerts_that_users_handled(browser: Client) -> None:
    found = charts_of(browser)

    assert listed(browser, found.acknowledged) == {"/in_progress", "/resolved", "/dismissed"}
    assert listed(browser, found.closed) == {"/resolved", "/dismissed"}


def test_mean_times_keep_the_current_filters(browser: Client) -> None:
    found = charts_of(browser, "status=active&status=resolved")

    assert listed(browser, found.acknowledged) == listed(browser, found.closed) == {"/resolved"}
    assert charts_of(browser, "status=active").closed == ""
    assert 'class="tile" href' not in browser.get("/alerts/charts/?status=active").content.decode()


def test_alerts_without_namespace_have_a_filter_too(browser: Client) -> None:
    (bar,) = [bar for bar in charts_of(browser).tops["Namespaces"] if bar.name == "No namespace"]

    assert (bar.count, listed(browser, bar.query)) == (1, {"/active"})
