"""Expired rows are deleted, and nothing else is."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection

from drift.alerts.actions import retention, triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.triage import StatusChange
from drift.alerts.models import (
    Alert,
    AlertActivity,
    AlertMention,
    Binary,
    Incident,
    Resolution,
    Sighting,
    Status,
    Workload,
)
from tests.unit.drift.alerts.conftest import Estate, event, now, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture
def alert(estate: Estate, operator: Any) -> Alert:
    ingest(estate.sensors[0], raw(event()))
    (closed,) = triage.change_status(
        operator, {Alert.objects.get().pk: 1}, StatusChange(Status.RESOLVED, Resolution.TRUE_POSITIVE)
    )
    return closed


def later(days: int) -> dt.datetime:
    return now() + dt.timedelta(days=days)


def test_a_closed_alert_is_kept_ninety_days(alert: Alert) -> None:
    assert retention.delete_expired(later(89))["alerts"] == 0

    dropped = retention.delete_expired(later(91))

    assert dropped["alerts"] == 1
    assert dropped["incidents"] == 1
    assert not Alert.objects.exists()


def test_an_alert_s_comments_and_timeline_are_deleted_with_it(alert: Alert, operator: Any, admin: Any) -> None:
    for _ in range(2):
        triage.comment(operator, alert, f"@{admin.email}, is this yours?")
    assert list(AlertMention.objects.values_list("user", "alert")) == [(admin.pk, alert.pk)], "once, however often"

    retention.delete_expired(later(91))

    assert not AlertMention.objects.exists()
    assert not AlertActivity.objects.exists()


def test_an_open_alert_is_kept_for_ever(alert: Alert, operator: Any) -> None:
    triage.change_status(operator, {alert.pk: alert.revision}, StatusChange(Status.ACTIVE))

    assert retention.delete_expired(later(1_000))["alerts"] == 0


def test_an_alert_that_is_reopened_just_before_its_deletion_is_kept(alert: Alert) -> None:
    reopened: list[int] = []

    def wrapper(execute: Any, sql: str, *rest: Any) -> Any:
        result = execute(sql, *rest)
        if not reopened:
            reopened.append(1)
            Alert.objects.update(status=Status.ACTIVE, verdict="", closed_at=None)
        return result

    with connection.execute_wrapper(wrapper):
        retention.delete_expired(later(91))

    assert Alert.objects.get() == alert


def test_a_dismissed_alert_is_kept_while_its_snooze_lasts(alert: Alert, operator: Any) -> None:
    snooze = StatusChange(Status.DISMISSED, Resolution.EXPECTED, until_spread=True)
    triage.change_status(operator, {alert.pk: alert.revision}, snooze)

    assert retention.delete_expired(later(400))["alerts"] == 0


def test_interned_rows_are_deleted_once_neither_event_nor_alert_needs_them(estate: Estate, alert: Alert) -> None:
    ignored = {"action": "ignore", "rule": "default", "reason": "default", "policy_number": 1}
    ingest(estate.sensors[0], raw(event(process__path="/ignored", container__namespace="other", decision=ignored)))
    assert retention.delete_expired(later(31))["alerts_binary"] == 0

    retention.delete_expired(later(32))

    assert not Sighting.objects.exists()
    assert Binary.objects.get() == alert.binary
    assert Workload.objects.get() == alert.workload
    assert Incident.objects.exists()


def test_command_lines_go_after_their_retention_and_the_alert_stays(alert: Alert, settings: Any) -> None:
    path = alert.detail.event["process"]["path"]
    assert alert.detail.event["process"]["argv"]
    assert retention.delete_expired(later(31))["command lines"] == 0, "0: kept as long as the alert"
    settings.ARGV_RETENTION_DAYS = 30
    assert retention.delete_expired(later(29).replace(hour=12))["command lines"] == 0
    assert retention.delete_expired(later(31).replace(hour=12))["command lines"] == 1
    assert retention.delete_expired(later(31).replace(hour=12))["command lines"] == 0
    alert.detail.refresh_from_db()
    process = alert.detail.event["process"]
    assert (process["path"], process["argv"], process["argv_truncated"]) == (path, [], True)


def test_a_retention_that_was_shortened_reaches_old_alerts_within_a_day(alert: Alert, settings: Any) -> None:
    settings.ARGV_RETENTION_DAYS = 30
    assert retention.delete_expired(later(60).replace(hour=12))["command lines"] == 0
    assert retention.delete_expired(later(60).replace(hour=retention.WHOLE_RUN_HOUR))["command lines"] == 1
