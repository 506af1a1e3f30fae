"""After an upgrade that changes the form of ways, closed alerts go on teaching what they were."""

from __future__ import annotations

import datetime as dt
import uuid
from importlib import import_module

import pytest
from django.db import connection

from accounts.models import User
from drift.alerts.actions import triage
from drift.alerts.actions.score_alerts import score_queued
from drift.alerts.models import Alert, AlertDetail, AlertScoring, Status
from tests.unit.drift.alerts.conftest import Estate, now
from tests.unit.drift.alerts.test_habits import opened, ways

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]
QUEUE = import_module("drift.alerts.migrations.0058_rescore_by_arguments").QUEUE
OLD_FORM = uuid.UUID(int=7)


def closed(estate: Estate, user: User, number: int, resolution: str, days_ago: int) -> Alert:
    """Open an alert of the one way, close it, and give it the way that an earlier release found."""
    alert = opened(estate, number, namespace=f"team-{number}", sensor=2)
    alert.refresh_from_db()
    status = Status.RESOLVED if resolution == "true_positive" else Status.DISMISSED
    triage.change_status(user, {alert.pk: alert.revision}, triage.StatusChange(status, resolution))
    Alert.objects.filter(pk=alert.pk).update(habit=OLD_FORM, first_seen=now() - dt.timedelta(days=days_ago))
    alert.refresh_from_db()
    return alert


def test_a_true_positive_is_found_by_the_new_form_of_its_way(estate: Estate, operator: User) -> None:
    attack = closed(estate, operator, 1, "true_positive", 0)
    alert = opened(estate, 2)
    before = attack.priority, attack.scoped_priority, attack.signals, attack.revision
    score_queued()
    assert "like_attack" not in ways(alert)

    AlertScoring.objects.create(alert=attack)
    score_queued()

    attack.refresh_from_db()
    alert.refresh_from_db()
    assert attack.habit == alert.habit
    assert (attack.priority, attack.scoped_priority, attack.signals, attack.revision) == before
    assert ways(alert) == {"like_attack"}
    assert score_queued() == 0


def test_a_closed_alert_whose_event_cannot_be_read_keeps_its_way(estate: Estate, operator: User) -> None:
    attack = closed(estate, operator, 1, "true_positive", 0)
    AlertDetail.objects.filter(alert=attack).update(event={})
    AlertScoring.objects.create(alert=attack)

    score_queued()

    attack.refresh_from_db()
    assert attack.habit == OLD_FORM


def test_the_upgrade_queues_true_positives_of_any_age_each_once(estate: Estate, operator: User) -> None:
    old, new = (closed(estate, operator, number, "true_positive", days) for number, days in ((1, 400), (2, 1)))
    closed(estate, operator, 3, "expected", 40)
    recent = closed(estate, operator, 4, "expected", 1)
    alert = opened(estate, 5)
    AlertScoring.objects.all().delete()

    with connection.cursor() as cursor:
        cursor.execute(QUEUE)

    queued = AlertScoring.objects.values_list("alert_id", flat=True).order_by("alert_id")
    assert list(queued) == [old.pk, new.pk, recent.pk, alert.pk]
