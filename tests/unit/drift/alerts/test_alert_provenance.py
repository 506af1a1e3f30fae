"""Session, writer's session and writer's origin of alerts: filters, groups, exports and the sentence on the page."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.db import connection

from drift.alerts.actions.ingest import ingest
from drift.alerts.domain.filters import CHOICES, Filters
from drift.alerts.domain.process_facts import came_about
from drift.alerts.models import Alert
from drift.alerts.queries.alert_groups import group_page
from drift.alerts.queries.alert_list import matching_alerts
from tests.unit.drift.alerts.conftest import Estate, event, now, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]

WRITER = {"name": "curl", "path": "/usr/bin/curl", "pid": 9, "at": "2026-11-29T10:00:00Z"}
KNOWN: dict[str, dict[str, str] | None] = {
    "/tmp/by-hand": {"session": "exec", "written_in_session": "exec", "writer_origin": "image"},
    "/tmp/by-cron": {"session": "workload", "written_in_session": "exec"},
    "/tmp/own": {"session": "workload", "written_in_session": "workload", "writer_origin": "drift"},
    "/tmp/of-the-node": {"session": "exec", "writer_origin": "runtime"},
    "/tmp/unknown": {},
    "/tmp/of-an-older-sensor": None,
}


@pytest.fixture
def alerts(estate: Estate) -> None:
    """One alert for each of KNOWN."""
    ingest(
        estate.sensors[0], raw(*(event(process__path=path, process__provenance=each) for path, each in KNOWN.items()))
    )


def found(user: Any, **values: str) -> set[str]:
    filters = Filters(values={name: tuple(each.split(",")) for name, each in values.items()})
    return {path.removeprefix("/tmp/") for path in matching_alerts(user, filters).values_list("path", flat=True)}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"session": "exec"}, {"by-hand", "of-the-node"}),
        ({"session": "workload"}, {"by-cron", "own"}),
        ({"session": "none"}, {"unknown", "of-an-older-sensor"}),
        ({"session": "workload,none"}, {"by-cron", "own", "unknown", "of-an-older-sensor"}),
        ({"writer_session": "exec"}, {"by-hand", "by-cron"}),
        ({"writer_session": "exec", "session": "workload"}, {"by-cron"}),
        ({"writer_session": "none"}, {"of-the-node", "unknown", "of-an-older-sensor"}),
        ({"writer_origin": "drift"}, {"own"}),
        ({"writer_origin": "runtime"}, {"of-the-node"}),
        ({"writer_origin": "image"}, {"by-hand"}),
    ],
)
def test_alerts_are_found_by_what_is_known_of_people_and_writers(
    alerts: None, reader: Any, values: dict[str, str], expected: set[str]
) -> None:
    assert found(reader, **values) == expected


def test_alerts_from_before_the_columns_count_as_unknown(alerts: None, reader: Any) -> None:
    Alert.objects.filter(path="/tmp/by-hand").update(session=None, writer_session=None, writer_origin=None)
    assert "by-hand" in found(reader, session="none")
    assert "by-hand" not in found(reader, session="exec")


@pytest.mark.parametrize(("group", "unknown"), [("session", 3), ("writer_origin", 4)])
def test_alerts_from_before_the_columns_are_in_the_group_of_the_unknown(
    alerts: None, reader: Any, group: str, unknown: int
) -> None:
    Alert.objects.filter(path="/tmp/by-hand").update(session=None, writer_session=None, writer_origin=None)
    groups = [row for row in group_page(reader, Filters(), group).rows if row.query.endswith("=none")]
    assert [row.count for row in groups] == [unknown]


def test_a_value_that_is_not_one_is_named(alerts: None, reader: Any, client_of: Any) -> None:
    answer = client_of(reader).get("/api/v1/alerts/?session=root")
    assert answer.status_code == 400
    for name in ("session", "writer_session", "writer_origin"):
        for value in CHOICES[name]:
            assert client_of(reader).get(f"/api/v1/alerts/?{name}={value}").status_code == 200


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("session", {"Entered the container (exec)": 2, "Started by the workload": 2, "No session": 2}),
        (
            "writer_origin",
            {"Drift itself": 1, "A program of the node": 1, "Unchanged from the image": 1, "No writer origin": 3},
        ),
    ],
)
def test_alerts_are_grouped_by_them_and_each_group_links_to_its_alerts(
    alerts: None, reader: Any, group: str, expected: dict[str, int]
) -> None:
    page = group_page(reader, Filters(), group)
    assert {row.name: row.count for row in page.rows} == expected
    for row in page.rows:
        (value,) = row.query.rpartition("=")[2].split(",")
        assert len(found(reader, **{group: value})) == row.count


def test_the_csv_report_has_the_sessions(alerts: None, reader: Any, client_of: Any) -> None:
    sent = client_of(reader).get("/alerts/export.csv").getvalue().decode("utf-8-sig")
    rows = {row["path"]: row for row in csv.DictReader(io.StringIO(sent))}
    row = rows["/tmp/by-cron"]
    assert (row["session"], row["writer_session"], row["writer_origin"]) == ("workload", "exec", "")


@pytest.mark.parametrize(
    ("column", "value"), [("session", "exec"), ("writer_session", "exec"), ("writer_origin", "drift")]
)
def test_rare_values_are_found_by_an_index(alerts: None, reader: Any, column: str, value: str) -> None:
    """Ten million alerts of the workload beside them cost nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        newest = matching_alerts(reader, Filters(values={column: (value,), "status": ("any",)}))
        plan = newest.order_by("-first_seen", "-pk")[:100].explain()
    assert f"alerts_of_{column}" in plan


def told(known: dict[str, str] | None, writer: dict[str, Any] | None = WRITER, path: str = "/tmp/x") -> str:
    process = {"path": path, "provenance": known, "written_by": writer}
    return came_about({"process": process, "observed_at": "2026-11-29T10:00:03Z"})


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (
            {"session": "exec", "written_in_session": "exec"},
            "Somebody, by an exec session, ran /tmp/x, written by curl 3 s before in the same session.",
        ),
        (
            {"session": "workload", "written_in_session": "exec", "writer_origin": "image"},
            "The workload ran /tmp/x, written by curl (unchanged from the image) 3 s before in an exec session.",
        ),
        (
            {"session": "exec", "written_in_session": "workload", "writer_origin": "drift"},
            "Somebody, by an exec session, ran /tmp/x, written by curl (drift itself) 3 s before by the workload.",
        ),
        ({}, "A process of an unknown session ran /tmp/x, written by curl 3 s before."),
        (None, "A process of an unknown session ran /tmp/x, written by curl 3 s before."),
    ],
)
def test_one_sentence_says_who_ran_it_and_who_wrote_it(known: dict[str, str] | None, expected: str) -> None:
    assert told(known) == expected


def test_the_sentence_says_no_more_than_is_known_and_quotes_what_an_attacker_named() -> None:
    assert told({"session": "workload"}, writer=None) == "The workload ran /tmp/x."
    assert told({}, writer=None) == told(None, writer=None) == ""
    assert told({"session": "exec"}, writer=None, path="/tmp/a ran b") == (
        "Somebody, by an exec session, ran '/tmp/a ran b'."
    )


def test_the_page_and_the_report_show_the_sentence(estate: Estate, reader: Any, client_of: Any) -> None:
    written = {**WRITER, "at": now().isoformat()}
    known = {"session": "exec", "written_in_session": "exec"}
    ingest(estate.sensors[0], raw(event(process__written_by=written, process__provenance=known)))
    alert = Alert.objects.get()
    for address in (f"/alerts/{alert.pk}/", f"/alerts/{alert.pk}/report/"):
        page = client_of(reader).get(address).content.decode()
        assert "Somebody, by an exec session, ran /var/www/html/xmrig, written by curl" in page
        assert "Written by who entered (exec)" in page
