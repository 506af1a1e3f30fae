"""The tiles of users who see the whole estate are counted past the ORM, those of others with it: both agree."""

from __future__ import annotations

import pytest
from django.utils import timezone

from accounts.models import ScopeEntry, User
from accounts.roles import Role
from drift.alerts.actions.ingest import ingest
from drift.alerts.models import Alert, Severity
from drift.alerts.queries.alert_list import open_alerts
from drift.fleet.models import Environment
from tests.unit.drift.alerts.conftest import Estate, event, raw

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture
def of_everything(estate: Estate) -> User:
    """A user whose scope is each environment."""
    user = User.objects.create(email="all@b.example", name="All", role=Role.READER, is_scoped=True)
    for environment in Environment.objects.all():
        ScopeEntry.objects.create(user=user, environment=environment)
    return user


def test_tiles_are_the_same_with_a_scope_of_everything(estate: Estate, reader: User, of_everything: User) -> None:
    for number, sensor in enumerate([estate.sensors[0]] * 7 + [estate.sensors[-1]] * 2):
        ingest(sensor, raw(event(process__path=f"/tmp/{number}", container__id=f"{number:064}")))
    found = list(Alert.objects.order_by("pk"))
    severities = [Severity.HIGH, Severity.MEDIUM, Severity.MEDIUM, Severity.LOW, Severity.INFORMATIONAL] * 2
    for alert, severity in zip(found, severities, strict=False):
        alert.severity = severity
        alert.save()
    Alert.objects.filter(pk=found[0].pk).update(status="in_progress")
    Alert.objects.filter(pk=found[1].pk).update(status="resolved", verdict="true_positive", closed_at=timezone.now())
    Alert.objects.filter(pk=found[2].pk).update(current=False, set_aside_at=timezone.now())

    counts = open_alerts(reader)

    assert counts == open_alerts(of_everything)
    assert counts.in_progress == 1
    assert counts.resources == 2
    assert counts.less_severe == {"medium": 2, "low": 2, "informational": 1}


def test_tiles_of_no_alerts_are_zero(estate: Estate, reader: User) -> None:
    counts = open_alerts(reader)

    assert (counts.total, counts.resources, sum(counts.less_severe.values())) == (0, 0, 0)


def test_tiles_of_a_scope_without_a_place_are_zero(estate: Estate) -> None:
    ingest(estate.sensors[0], raw(event()))
    user = User.objects.create(email="none@b.example", name="None", role=Role.READER, is_scoped=True)

    counts = open_alerts(user)

    assert (counts.total, counts.resources, sum(counts.less_severe.values())) == (0, 0, 0)
