"""Mentions by user: recorded by a trigger with each comment, and once for the comments from before it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from drift.alerts.actions import triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.models import ActivityKind, Alert, AlertActivity, AlertMention
from tests.database import as_owner
from tests.unit.drift.alerts.conftest import Estate, event, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]

UNTIL_NOW = import_module("drift.alerts.migrations.0011_mentions_until_now").UNTIL_NOW
GONE = 2**40
"""A deleted user."""


@pytest.fixture
def alerts(estate: Estate) -> list[Alert]:
    ingest(estate.sensors[0], raw(event(process__path="/a"), event(process__path="/b")))
    return list(Alert.objects.order_by("path"))


def comment(alert: Alert, author: Any, after: Any, kind: ActivityKind = ActivityKind.COMMENT) -> None:
    AlertActivity.objects.create(alert=alert, kind=kind, actor=author, text="Look", after=after)


def old_comments(alerts: list[Alert], author: Any, one: Any, other: Any) -> None:
    """Comments as users write them, with all that they may contain."""
    for after in ({"mentions": [one.pk, other.pk]}, {"mentions": [one.pk]}, {"mentions": [one.pk, GONE]}):
        comment(alerts[0], author, after)
    without: list[dict[str, Any] | None] = [None, {}, {"mentions": []}]
    for value in without:
        comment(alerts[1], author, value)
    comment(alerts[1], author, {"mentions": [other.pk]}, ActivityKind.STATUS)


def noted() -> list[tuple[int, int]]:
    return sorted(AlertMention.objects.values_list("user_id", "alert_id"))


def execute(statement: str) -> None:
    with as_owner() as cursor:
        cursor.execute(statement)


def test_old_comments_are_recorded_as_the_trigger_records_new_ones(
    alerts: list[Alert], operator: Any, reader: Any, admin: Any
) -> None:
    execute("SET LOCAL session_replication_role = replica")  # no trigger, as before the migration
    old_comments(alerts, operator, reader, admin)
    assert noted() == []

    execute("SET LOCAL session_replication_role = origin")
    execute(UNTIL_NOW)

    assert noted() == [(reader.pk, alerts[0].pk), (admin.pk, alerts[0].pk)]
    AlertMention.objects.all().delete()
    old_comments(alerts, operator, reader, admin)
    assert noted() == [(reader.pk, alerts[0].pk), (admin.pk, alerts[0].pk)]


def test_it_can_run_beside_new_comments_and_again(alerts: list[Alert], operator: Any, reader: Any, admin: Any) -> None:
    triage.comment(operator, alerts[0], f"@{reader.email} look")
    AlertMention.objects.all().delete()
    triage.comment(operator, alerts[0], f"@{admin.email} look")

    execute(UNTIL_NOW)
    execute(UNTIL_NOW)

    assert noted() == [(reader.pk, alerts[0].pk), (admin.pk, alerts[0].pk)]


@pytest.mark.parametrize("mentions", [None, "2", {"2": 2}, 2.5, ["2", None, [2], {}, 1e40], 10**40], ids=repr)
def test_a_comment_is_accepted_whatever_its_mentions_are(alerts: list[Alert], operator: Any, mentions: Any) -> None:
    comment(alerts[0], operator, {"mentions": mentions})

    assert noted() == []


def test_only_users_among_the_mentions_are_recorded(alerts: list[Alert], operator: Any, reader: Any) -> None:
    comment(alerts[0], operator, {"mentions": [None, reader.pk, "x", reader.pk]})
    comment(alerts[1], operator, {"mentions": reader.pk})

    assert noted() == sorted((reader.pk, alert.pk) for alert in alerts)
