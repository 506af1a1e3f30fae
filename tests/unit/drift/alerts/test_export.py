"""Reports of the filtered alerts, as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert
from drift.alerts.views.export import escaped
from tests.unit.drift.alerts.conftest import Estate, event, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]


ClientOf = Callable[[Any], Client]


@pytest.fixture
def alert(estate: Estate) -> Alert:
    ingest(estate.sensors[0], raw(event()))
    return Alert.objects.get()


def test_the_csv_report_contains_the_filtered_alerts_and_no_formula(
    estate: Estate, reader: Any, client_of: ClientOf
) -> None:
    ingest(estate.sensors[0], raw(event(container__namespace="=cmd|'/c calc'!A1"), event(process__path="/other")))

    answer = client_of(reader).get("/alerts/export.csv?q=xmrig")

    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode())))
    assert [(row["path"], row["namespace"][:2]) for row in rows] == [("/var/www/html/xmrig", "'=")]


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@x"])
def test_no_cell_starts_a_formula(cell: str) -> None:
    assert escaped(cell) == f"'{cell}"


@pytest.mark.parametrize(("cell", "shown"), [("\t=x", "\\t=x"), ("\r=x", "\\r=x"), ("a\u202eb", "a\\u202eb")])
def test_a_cell_shows_its_hidden_characters(cell: str, shown: str) -> None:
    assert escaped(cell) == shown


def test_the_json_report_has_one_alert_per_line(alert: Alert, reader: Any, client_of: ClientOf) -> None:
    (line,) = client_of(reader).get("/alerts/export.jsonl").getvalue().splitlines()

    assert json.loads(line)["event"]["process"]["name"] == "xmrig"
