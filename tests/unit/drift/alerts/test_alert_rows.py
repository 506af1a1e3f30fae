"""The rows of the lists of alerts and of incidents, which are formatted without a template."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any, cast

import pytest

from drift.alerts.models import Status
from drift.alerts.queries.alert_list import AlertRow
from drift.alerts.queries.incident_list import IncidentRow
from drift.alerts.templatetags.alert_rows import alert_row, incident_row

HOSTILE = "\"'><b>&{pk}\u202e\n"
TEXTS = tuple(name for name, kind in AlertRow.__annotations__.items() if "str" in str(kind))
AT = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)


def _alert(**values: Any) -> AlertRow:
    usual = dict.fromkeys(TEXTS, "x") | {"pk": "7", "choice": "7:1", "priority": 80, "count": 3, "is_open": True}
    return cast(AlertRow, usual | {"started": AT, "updated": AT, "sample": True} | values)


def _incident(alert: AlertRow, **values: Any) -> IncidentRow:
    usual = {"is_single": False, "is_routine": True, "count": 2, "first": AT, "last": AT, "status": Status.ACTIVE}
    texts = {"key": "incident-1", "url": "/alerts/incidents/1/", "choice": "1.2.3", "name": "A name", "query": "a=1"}
    return IncidentRow(first_alert=alert, **cast(Any, usual | texts | values))


@pytest.mark.parametrize("name", TEXTS)
def test_no_text_of_an_alert_is_markup_or_leaves_its_attribute(name: str) -> None:
    alert, usual = _alert(**{name: HOSTILE}), _alert(**{name: "y"})

    for row, other in (
        (alert_row(alert, True), alert_row(usual, True)),
        (incident_row(_incident(alert), True, "/alerts/"), incident_row(_incident(usual), True, "/alerts/")),
    ):
        assert "<b>" not in row
        assert [row.count(each) for each in "\"'<>"] == [other.count(each) for each in "\"'<>"]


@pytest.mark.parametrize("name", ["key", "url", "choice", "name", "query"])
def test_no_text_of_an_incident_is_markup_or_leaves_its_attribute(name: str) -> None:
    usual = _incident(_alert())

    row, other = (
        incident_row(each, True, "/alerts/") for each in (replace(usual, **cast(Any, {name: HOSTILE})), usual)
    )
    assert "<b>" not in row
    assert [row.count(each) for each in "\"'<>"] == [other.count(each) for each in "\"'<>"]


@pytest.mark.parametrize("name", ["path", "what", "cluster", "group", "reasons"])
def test_line_breaks_and_outer_spaces_of_names_are_visible(name: str) -> None:
    row = alert_row(_alert(**{name: " a\nb\u202e "}), True)

    assert r"\x20a\nb\u202e\x20" in row


def test_only_who_may_change_alerts_can_choose_them() -> None:
    assert 'name="alert" value="7:1"' in alert_row(_alert(), True)
    assert "<input" not in alert_row(_alert(), False)
    assert "<input" not in incident_row(_incident(_alert()), False, "/alerts/")
    # Too many alerts for one change.
    assert "<input" not in incident_row(_incident(_alert(), choice=""), True, "/alerts/")


def test_a_closed_alert_looks_closed() -> None:
    assert 'class="closed"' in alert_row(_alert(is_open=False), True)
    assert 'class="closed"' not in alert_row(_alert(), True)
    assert 'class="closed"' in incident_row(_incident(_alert(), status=Status.RESOLVED), True, "/alerts/")
