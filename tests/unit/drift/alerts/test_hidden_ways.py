"""Every way in which an alert is hidden is in the report, and each count links to just its alerts."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import QueryDict

from drift.alerts.actions import suppression_rules, triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.forms.filters import read_filters
from drift.alerts.models import Alert, Resolution, Status
from drift.alerts.queries.alert_list import matching_alerts
from tests.unit.drift.alerts.conftest import Estate, event, raw, save_reviewed
from tests.unit.drift.alerts.test_hidden_report import change, month
from tests.unit.drift.alerts.test_suppression_rules import TOOLS

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def opened(estate: Estate, path: str) -> Alert:
    ingest(estate.sensors[0], raw(event(process__path=path)))
    return Alert.objects.latest("pk")


def listed(user: Any, query: str) -> set[str]:
    return set(matching_alerts(user, read_filters(QueryDict(query))).values_list("path", flat=True))


def test_every_way_to_hide_an_alert_is_counted_once_and_linked(estate: Estate, operator: Any, admin: Any) -> None:
    rule = save_reviewed(operator, TOOLS)
    opened(estate, "/opt/tools/by-a-deleted-rule")
    change(admin, opened(estate, "/opt/tools/judged-again"), Status.DISMISSED, Resolution.FALSE_POSITIVE)
    back = opened(estate, "/opt/tools/undone")
    triage.change_status(admin, {back.pk: back.revision}, triage.StatusChange(Status.ACTIVE))
    rule.refresh_from_db()
    suppression_rules.delete(operator, rule.pk, rule.revision)
    back.refresh_from_db()
    triage.undo(admin, {back.pk: back.revision})
    in_bulk = [opened(estate, path) for path in ("/bulk-1", "/bulk-2")]
    dismissed = triage.StatusChange(Status.DISMISSED, Resolution.EXPECTED)
    triage.change_status(operator, {each.pk: each.revision for each in in_bulk}, dismissed)
    opened(estate, "/open")

    found = month(admin)

    hidden = set(Alert.objects.filter(status="dismissed").values_list("path", flat=True))
    assert len(hidden) == 5
    assert listed(admin, found.query) == hidden
    counts = [*found.by_rule, *found.by_person]
    lists = [listed(admin, each.query) for each in counts]
    assert [len(each) for each in lists] == [each.alerts for each in counts]
    assert sum(map(len, lists)) == found.total == 5
    assert set.union(*lists) == hidden
