"""Reviewers change alerts, and similar events follow their choice."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from accounts.models import AuditEntry
from drift.alerts.actions import triage
from drift.alerts.actions.ingest import ingest
from drift.alerts.actions.triage import StatusChange
from drift.alerts.errors import ChangeConflict, Invalid
from drift.alerts.models import Alert, AlertActivity, Resolution, Status
from tests.database import as_owner
from tests.unit.drift.alerts.conftest import Estate, event, now

pytestmark = [pytest.mark.services, pytest.mark.django_db]
EXPECTED = StatusChange(Status.DISMISSED, Resolution.EXPECTED)


def send(estate: Estate, index: int = 0, **changes: Any) -> None:
    ingest(estate.sensors[index], [json.dumps(event(**changes)).encode()])


@pytest.fixture
def alert(estate: Estate) -> Alert:
    send(estate)
    return Alert.objects.get()


def test_a_dismissal_records_its_resolution_its_author_and_its_snooze(alert: Alert, operator: Any) -> None:
    (done,) = triage.change_status(
        operator, {alert.pk: 1}, StatusChange(Status.DISMISSED, Resolution.EXPECTED, "our tool")
    )

    assert (done.status, done.verdict, done.revision) == ("dismissed", "expected", 2)
    assert done.quiet_until is not None
    assert abs(done.quiet_until - now() - dt.timedelta(days=7)) < dt.timedelta(minutes=1)
    line = AlertActivity.objects.get(kind="status")
    assert (line.actor, line.text, line.before and line.before["status"]) == (operator, "our tool", "active")
    assert AuditEntry.objects.get(object_type="alert").verb == "dismissed"


def test_similar_events_during_the_snooze_only_add_to_the_count(estate: Estate, alert: Alert, operator: Any) -> None:
    triage.change_status(operator, {alert.pk: 1}, EXPECTED)

    send(estate, 1)

    assert (Alert.objects.get().status, Alert.objects.get().pulse.count) == ("dismissed", 2)


def test_after_a_resolution_similar_events_open_a_new_alert_that_refers_to_the_old(
    estate: Estate, alert: Alert, operator: Any
) -> None:
    triage.change_status(operator, {alert.pk: 1}, StatusChange(Status.RESOLVED, Resolution.TRUE_POSITIVE))

    send(estate)

    newer = Alert.objects.get(current=True)
    assert (newer.previous, newer.status, newer.pulse.count) == (alert, "active", 1)
    assert Alert.objects.get(pk=alert.pk).pulse.count == 1


def test_events_observed_before_the_resolution_count_to_the_closed_alert(
    estate: Estate, alert: Alert, operator: Any
) -> None:
    triage.change_status(operator, {alert.pk: 1}, StatusChange(Status.RESOLVED, Resolution.TRUE_POSITIVE))

    send(estate, at=now() - dt.timedelta(hours=1))

    assert Alert.objects.get().pulse.count == 2


def test_a_snooze_until_it_spreads_ends_when_the_binary_appears_elsewhere(
    estate: Estate, alert: Alert, operator: Any
) -> None:
    change = StatusChange(Status.DISMISSED, Resolution.ACCEPTED_RISK, until_spread=True)
    triage.change_status(operator, {alert.pk: 1}, change)
    send(estate, container__image_name="ghcr.io/team/app:1.3")
    assert Alert.objects.get().until_spread, "a new release of the same workload is not another workload"

    send(estate, 2)
    send(estate)

    assert not Alert.objects.get(pk=alert.pk).until_spread
    assert list(Alert.objects.filter(status="active").order_by("pk").values_list("cluster__name", flat=True)) == [
        "green",
        "blue",
    ]
    assert AlertActivity.objects.filter(alert=alert, kind="spread").exists()


def test_the_second_of_two_reviewers_gets_a_conflict_and_changes_nothing(
    alert: Alert, operator: Any, admin: Any
) -> None:
    triage.change_status(admin, {alert.pk: 1}, EXPECTED)

    with pytest.raises(ChangeConflict, match="Admin changed alert"):
        triage.change_status(operator, {alert.pk: 1}, StatusChange(Status.IN_PROGRESS))

    assert Alert.objects.get().status == "dismissed"


def test_a_bulk_change_is_all_or_nothing(estate: Estate, alert: Alert, operator: Any) -> None:
    send(estate, process__path="/other")
    other = Alert.objects.get(path="/other")

    with pytest.raises(ChangeConflict):
        triage.change_status(operator, {alert.pk: 1, other.pk: 9}, EXPECTED)

    assert set(Alert.objects.values_list("status", flat=True)) == {"active"}


def test_a_bulk_change_can_be_undone_by_its_author_alone(
    estate: Estate, alert: Alert, operator: Any, admin: Any
) -> None:
    triage.change_status(operator, {alert.pk: 1}, EXPECTED)
    with pytest.raises(ChangeConflict, match="no change to undo"):
        triage.undo(admin, {alert.pk: 2})

    (back,) = triage.undo(operator, {alert.pk: 2})

    assert (back.status, back.verdict, back.closed_at, back.quiet_until) == ("active", "", None, None)


def test_an_undo_reopens_no_alert_that_a_newer_one_replaced(estate: Estate, alert: Alert, operator: Any) -> None:
    triage.change_status(operator, {alert.pk: 1}, StatusChange(Status.RESOLVED, Resolution.TRUE_POSITIVE))
    send(estate)
    with pytest.raises(ChangeConflict, match="newer alert"):
        triage.undo(operator, {alert.pk: 2})


def test_what_others_assign_and_comment_since_leaves_a_change_to_undo(
    estate: Estate, alert: Alert, operator: Any, admin: Any
) -> None:
    triage.change_status(operator, {alert.pk: 1}, EXPECTED)
    triage.assign(admin, {alert.pk: 2}, admin)
    triage.comment(admin, alert, "Why?")
    (back,) = triage.undo(operator, {alert.pk: 3})
    assert (back.status, back.assignee) == ("active", admin)


def test_a_closed_alert_can_be_reopened_until_a_newer_one_replaces_it(
    estate: Estate, alert: Alert, operator: Any
) -> None:
    triage.change_status(operator, {alert.pk: 1}, StatusChange(Status.RESOLVED, Resolution.TRUE_POSITIVE))
    triage.change_status(operator, {alert.pk: 2}, StatusChange(Status.ACTIVE))
    triage.change_status(operator, {alert.pk: 3}, StatusChange(Status.RESOLVED, Resolution.TRUE_POSITIVE))
    send(estate)

    with pytest.raises(ChangeConflict, match="newer alert"):
        triage.change_status(operator, {alert.pk: 4}, StatusChange(Status.ACTIVE))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (StatusChange(Status.DISMISSED), "verdict"),
        (StatusChange(Status.RESOLVED, Resolution.EXPECTED), "verdict"),
        (StatusChange(Status.DISMISSED, Resolution.SUPPRESSED), "verdict"),
        (StatusChange(Status.ACTIVE, Resolution.EXPECTED), "verdict"),
        (StatusChange(Status.DISMISSED, Resolution.EXPECTED, quiet_until=now()), "quiet_until"),
    ],
)
def test_a_status_change_that_is_not_valid_is_rejected(
    alert: Alert, operator: Any, change: StatusChange, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        triage.change_status(operator, {alert.pk: 1}, change)

    assert refused.value.extra == {"field": field}


def test_only_users_who_can_triage_can_be_assigned(alert: Alert, operator: Any, reader: Any) -> None:
    (mine,) = triage.assign(operator, {alert.pk: 1}, operator)
    assert mine.assignee == operator

    with pytest.raises(Invalid):
        triage.assign(operator, {alert.pk: 2}, reader)


def test_the_database_holds_one_open_alert_per_fingerprint(alert: Alert) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.create(
            **{
                name: getattr(alert, name)
                for name in ("fingerprint", "first_seen", "workload", "binary", "sensor", "cluster", "path", "action")
            },
            reason="scope",
            outcome="none",
        )
    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.update(current=False)


def test_the_timeline_cannot_be_rewritten(alert: Alert) -> None:
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
        AlertActivity.objects.update(text="never happened")
    with as_owner(), pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        AlertActivity.objects.update(text="never happened")
