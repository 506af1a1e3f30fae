"""Two sensors in quarantine: they do not shield each other, and what one of them is trusted with again returns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import User
from drift.alerts.actions.set_aside import settle_quarantines
from drift.alerts.models import Alert
from drift.fleet.actions.quarantine import lift_quarantine, quarantine_sensor
from drift.fleet.models import Sensor
from drift.fleet.models.sensors import NEVER
from tests.unit.drift.alerts.conftest import Estate, event

pytestmark = [pytest.mark.services, pytest.mark.django_db]
Post = Callable[..., Any]


@pytest.fixture
def admin(django_user_model: type[User]) -> User:
    made: User = django_user_model.objects.create(email="a@b.example", name="Ada", role="admin")
    return made


def quarantine(admin: User, sensor: Sensor, since: dt.datetime | None = NEVER) -> None:
    assert quarantine_sensor(admin, sensor, since)
    settle_quarantines()


def lift(admin: User, sensor: Sensor) -> None:
    assert lift_quarantine(admin, sensor)
    settle_quarantines()


def listed(*, aside: bool = False) -> list[str]:
    """Return the paths of the alerts that are shown, or of those that are set aside."""
    return list(Alert.objects.filter(set_aside_at__isnull=not aside).order_by("path").values_list("path", flat=True))


@pytest.mark.parametrize("first", [0, 1])
def test_two_stolen_sensors_that_report_the_same_file_do_not_shield_each_other(
    estate: Estate, post: Post, admin: User, first: int
) -> None:
    shared = event(process__path="/tmp/shared")
    post(estate.client(0), shared)
    post(estate.client(1), event(process__path="/tmp/shared"))
    assert Alert.objects.count() == 1

    quarantine(admin, estate.sensors[first])
    quarantine(admin, estate.sensors[1 - first])

    assert listed() == []
    assert listed(aside=True) == ["/tmp/shared"]


def test_what_a_sensor_reported_before_the_time_from_which_it_is_distrusted_still_counts(
    estate: Estate, post: Post, admin: User
) -> None:
    post(estate.client(0), event(process__path="/tmp/shared"))
    post(estate.client(1), event(process__path="/tmp/shared"))

    quarantine(admin, estate.sensors[1], since=None)
    quarantine(admin, estate.sensors[0])

    assert listed() == ["/tmp/shared"]


def test_what_a_sensor_reported_of_anothers_alerts_returns_with_its_trust(
    estate: Estate, post: Post, admin: User
) -> None:
    post(estate.client(0), event(process__path="/tmp/shared"), event(process__path="/tmp/alone"))
    post(estate.client(1), event(process__path="/tmp/shared"))
    quarantine(admin, estate.sensors[0])
    quarantine(admin, estate.sensors[1])
    assert listed() == []

    lift(admin, estate.sensors[1])
    assert listed() == ["/tmp/shared"]
    assert settle_quarantines() == 0

    lift(admin, estate.sensors[0])
    assert listed() == ["/tmp/alone", "/tmp/shared"]


@pytest.mark.django_db(transaction=True)  # the database's clock stands still within one
def test_a_report_after_an_alert_was_set_aside_has_an_alert_of_its_own_and_does_not_bring_it_back(
    estate: Estate, post: Post, admin: User
) -> None:
    post(estate.client(0), event(process__path="/tmp/shared"))
    quarantine(admin, estate.sensors[0])
    post(estate.client(1), event(process__path="/tmp/shared"))
    post(estate.client(0), event(process__path="/tmp/shared"))

    assert settle_quarantines() == 0
    assert listed() == ["/tmp/shared"]
    assert listed(aside=True) == ["/tmp/shared"]
