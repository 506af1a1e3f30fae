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
    ingest(
        estate.sensors[0],
        raw(event(container__namespace="=cmd|'/c calc'!A1"), event(process__path="/other", process__argv=["other"])),
    )

    answer = client_of(reader).get("/alerts/export.csv?q=xmrig")

    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode())))
    assert [(row["path"], row["namespace"][:2]) for row in rows] == [("/var/www/html/xmrig", "'=")]


def test_the_csv_report_has_what_an_investigation_needs_and_opens_in_excel(
    estate: Estate, reader: Any, client_of: ClientOf
) -> None:
    writer = {"name": "curl", "path": "/usr/bin/curl", "pid": 7, "at": "2026-11-01T10:00:00Z"}
    argv = ["./xmrig", "--user", "Zoë", "@evil\n"]
    ingest(estate.sensors[0], raw(event(process__argv=argv, process__written_by=writer)))
    ingest(estate.sensors[0], raw(event(process__path="/no-facts", process__parent=None, process__sha256=None)))

    sent = client_of(reader).get("/alerts/export.csv?status=any").getvalue()

    assert sent.startswith("\ufeffid,".encode())
    bare, found = sorted(csv.DictReader(io.StringIO(sent.decode("utf-8-sig"))), key=lambda row: row["path"])
    wanted = {
        "command_line": "./xmrig --user 'Zoë' '@evil\\n'",
        "node": "n1",
        "container": "app",
        "parent": "/bin/bash",
        "written_by": "/usr/bin/curl",
        "sha256": "a" * 64,
        "verdict": "",
        "decision": "alert",
        "decided_because": "scope",
        "owner": "cart",
    }
    assert {name: found[name] for name in wanted} == wanted
    assert (bare["parent"], bare["written_by"], bare["sha256"]) == ("", "", "")
    assert None not in found, "a row has as many cells as the head"


def test_events_of_older_releases_are_exported(alert: Alert, reader: Any, client_of: ClientOf) -> None:
    event_then = alert.detail.event
    for name in ("written_by", "parent", "argv", "hash_status"):
        event_then["process"].pop(name, None)
    event_then["container"].pop("image_digest", None)
    alert.detail.save()

    (row,) = csv.DictReader(io.StringIO(client_of(reader).get("/alerts/export.csv").getvalue().decode("utf-8-sig")))

    assert (row["command_line"], row["written_by"], row["parent"]) == ("/var/www/html/xmrig", "", "")


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@x", "＝1", "＋1", "－1", "＠x", " =1"])
def test_no_cell_starts_a_formula(cell: str) -> None:
    assert escaped(cell) == f"'{cell}"


@pytest.mark.parametrize(
    ("cell", "shown"), [("\t=x", "\\t=x"), ("\r=x", "\\r=x"), ("\u3000=1", "\\u3000=1"), ("a\u202eb", "a\\u202eb")]
)
def test_a_cell_shows_its_hidden_characters(cell: str, shown: str) -> None:
    assert escaped(cell) == shown


def test_the_json_report_has_one_alert_per_line(alert: Alert, reader: Any, client_of: ClientOf) -> None:
    (line,) = client_of(reader).get("/alerts/export.jsonl").getvalue().splitlines()

    assert json.loads(line)["event"]["process"]["name"] == "xmrig"


@pytest.mark.parametrize("file", ["export.csv", "export.jsonl"])
def test_a_filter_that_does_not_exist_is_refused_before_the_first_line(
    reader: Any, client_of: Callable[[Any], Client], file: str
) -> None:
    assert client_of(reader).get(f"/alerts/{file}?alert=7").status_code == 400
