"""What each filter of the list finds, whoever looks, and what alerts from before its column have."""

from __future__ import annotations

import datetime as dt
from importlib import import_module
from typing import Any

import pytest
from django.utils import timezone

from drift.alerts.actions import triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.retention import delete_expired
from drift.alerts.domain.filters import CLOSED_STATUSES, Filters
from drift.alerts.models import Alert, AlertDetail, Status, SuppressionRule
from drift.alerts.queries import filter_conditions
from drift.alerts.queries.alert_list import matching_alerts
from drift.alerts.queries.query_limits import statement_timeout
from tests.database import as_owner
from tests.unit.drift.alerts.conftest import RULE, Estate, event, now, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]
CURL = {"name": "curl", "pid": 9, "at": now().isoformat(), "path": "/usr/bin/curl"}
ID = "3f" * 32


@pytest.fixture
def alerts(estate: Estate) -> None:
    """Two alerts: /tmp/x of today on n1, written by curl; /opt/a_b of ten days ago on n3, of which less is known."""
    ingest(
        estate.sensors[0],
        raw(
            event(
                process__path="/tmp/x",
                process__argv=["/tmp/x", "--pool", "stratum.example"],
                process__written_by=CURL,
                process__sha256="1234abcd" + "0" * 56,
                container__id=ID,
            )
        ),
    )
    ingest(
        estate.sensors[2],
        raw(
            event(
                at=now() - dt.timedelta(days=10),
                process__path="/opt/a_b",
                process__parent=None,
                process__sha256="f" * 64,
                container__name="sidecar",
                container__pod_name=None,
                container__namespace=None,
                decision__rule="default",
                decision__reason="default",
            )
        ),
    )


def found(user: Any, **values: Any) -> list[str]:
    q = values.pop("q", "")
    filters = Filters(q, {name.rstrip("_"): (value,) for name, value in values.items()})
    return sorted(matching_alerts(user, filters).values_list("path", flat=True))


FIRST = {
    "node": ["n1"],
    "pod": ["cart-7d9f-abcde"],
    "container": [ID, ID[:8], ID[:20], "app"],
    "hash": ["1234abcd" + "0" * 56, "1234abcd", "1234ABCD00"],
    "path": ["/tmp/x", "/tmp/*", "*/x", "/t*x", "*m*"],
    "writer": ["curl"],
    "parent": ["bash"],
    "cluster": ["blue"],
    "rule": ["alert on the shop", "Alert on the shop", RULE],
    "newer": ["2d", "48h", "900m", "1w"],
}
SECOND = {
    "pod": ["none"],
    "container": ["sidecar"],
    "path": ["/opt/a_b", "/opt/*", "*_*"],
    "hash": ["ffffffff"],
    "writer": ["none"],
    "parent": ["none"],
    "cluster": ["green"],
    "older": ["9d", "1w"],
    "until": [f"{now() - dt.timedelta(days=5):%Y-%m-%d}", f"{now() - dt.timedelta(days=5):%Y-%m-%dT%H:%M}"],
}
NEITHER = {
    "node": ["n", "N1"],
    "container": ["3f3f3f3", "4f" * 4, ID[:-1] + "0"],
    "hash": ["1234abc", "ffffffff0"],
    "path": ["/tmp", "/TMP/*", "/tmp/?", "%", "/opt/a%", r"\*"],
    "writer": ["cur", "%"],
    "rule": ["Alert on"],
    "cluster": ["Blue", "99999"],
    "newer": ["abc", "0m"],
    "from": ["2026", "yesterday"],
    "until": ["2019-01-01"],
}
CASES = [
    (expected, name, value)
    for table, expected in ((FIRST, ["/tmp/x"]), (SECOND, ["/opt/a_b"]), (NEITHER, []))
    for name, values in table.items()
    for value in values
]


@pytest.mark.parametrize("named", [1_000, 0])
def test_a_filter_finds_what_it_names_and_nothing_else(
    alerts: None, reader: Any, monkeypatch: pytest.MonkeyPatch, named: int
) -> None:
    """Also where more rows match than a condition names one by one."""
    monkeypatch.setattr(filter_conditions, "MAX_NAMED", named)

    assert [(name, value, found(reader, **{name: value})) for _, name, value in CASES] == [
        (name, value, expected) for expected, name, value in CASES
    ]


@pytest.mark.parametrize(
    "text",
    ["stratum.example", "--pool", "/tmp/x --POOL", "curl", "/usr/bin/curl", "bash", "n1", "cart-7d9f", "1234abcd"],
)
def test_a_search_finds_command_line_writer_parent_node_and_pod(alerts: None, reader: Any, text: str) -> None:
    assert found(reader, q=text) == ["/tmp/x"]


def test_a_resolution_and_a_suppression_rule_find_closed_alerts_by_themselves(
    alerts: None, reader: Any, operator: Any
) -> None:
    first = Alert.objects.get(path="/tmp/x")
    triage.change_status(operator, {first.pk: 1}, triage.StatusChange(Status.RESOLVED, "true_positive"))
    rule = SuppressionRule.objects.create(name="Tools", conditions=[], reason="expected")
    Alert.objects.filter(path="/opt/a_b").update(
        status="dismissed", verdict="suppressed", closed_at=now(), suppressed_by=rule
    )

    assert found(reader, verdict="true_positive") == ["/tmp/x"]
    assert found(reader, verdict="suppressed") == ["/opt/a_b"]
    assert found(reader, suppression=str(rule.pk)) == found(reader, suppression="Tools") == ["/opt/a_b"]
    assert found(reader, verdict="true_positive", status="active") == []
    assert Filters("", {"verdict": ("expected",)}).statuses == CLOSED_STATUSES


def test_priorities_are_found_by_band_and_from_one_on(alerts: None, reader: Any) -> None:
    Alert.objects.filter(path="/tmp/x").update(priority=75)
    Alert.objects.filter(path="/opt/a_b").update(priority=74)

    assert found(reader, priority="urgent") == found(reader, priority="75+") == ["/tmp/x"]
    assert found(reader, priority="raised") == ["/opt/a_b"]
    assert found(reader, priority="74+") == ["/opt/a_b", "/tmp/x"]
    assert found(reader, priority="calm") == found(reader, priority="100+") == found(reader, priority="101+") == []


def test_assignees_are_found_by_their_address(alerts: None, reader: Any, operator: Any) -> None:
    first = Alert.objects.get(path="/tmp/x")
    triage.assign(operator, {first.pk: 1}, operator)

    assert found(reader, assignee=operator.email) == found(reader, assignee=operator.email.upper()) == ["/tmp/x"]
    assert found(reader, assignee="nobody@example.com") == []


def test_alerts_from_before_are_found_once_they_are_filled_in(alerts: None, reader: Any) -> None:
    columns = ("node", "writer", "parent", "detail__search")
    expected = list(Alert.objects.order_by("pk").values_list(*columns))
    for detail in AlertDetail.objects.all():
        AlertDetail.objects.filter(pk=detail.pk).update(search=detail.search.split("\nn", 1)[0])
    before = {row.pk: row.search for row in AlertDetail.objects.all()}
    Alert.objects.update(node=None, writer=None, parent=None)
    assert found(reader, writer="curl") == found(reader, q="stratum") == []

    backfill = import_module("drift.alerts.migrations.0025_alert_columns_backfill").BACKFILL.replace("COMMIT;", "")
    for _ in range(2):
        with as_owner() as cursor:
            cursor.execute(backfill)

    assert list(Alert.objects.order_by("pk").values_list(*columns[:3])) == [row[:3] for row in expected]
    assert found(reader, q="stratum") == found(reader, writer="curl") == ["/tmp/x"]
    for detail in AlertDetail.objects.select_related("alert"):
        added = detail.search.removeprefix(before[detail.pk])
        assert next(row[3] for row in expected if row[3].startswith(before[detail.pk])).endswith(added)
        assert added


def test_a_deleted_command_line_is_not_found_any_more(alerts: None, reader: Any, settings: Any) -> None:
    settings.ARGV_RETENTION_DAYS = 7

    delete_expired(timezone.now() + dt.timedelta(days=8))

    assert found(reader, q="stratum") == found(reader, q="--pool") == []
    assert found(reader, q="curl") == found(reader, q="/tmp/x") == ["/tmp/x"]


def test_a_long_command_line_is_searched_in_its_first_characters(estate: Estate, reader: Any) -> None:
    argv = ["/x", *(f"argument-{number}" for number in range(60)), "z" * 900, "beyond-it"]
    ingest(estate.sensors[0], raw(event(process__path="/x", process__argv=argv)))

    assert found(reader, q="argument-59") == ["/x"]
    assert found(reader, q="beyond-it") == []


def test_a_pattern_of_many_asterisks_is_compared_in_time(alerts: None, reader: Any) -> None:
    Alert.objects.filter(path="/tmp/x").update(path="/tmp/" + "a" * 4_000)

    with statement_timeout(2):
        assert found(reader, path="/tmp/" + "*a" * 400 + "*b") == []
