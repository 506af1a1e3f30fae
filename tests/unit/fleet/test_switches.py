"""What stops or starts a fleet is done only when it was said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from drift.fleet.actions import blocking
from drift.fleet.models import FleetState
from tests.unit.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture
def managing(admin: User, client_of: Callable[[User], Client], queued: Any) -> Client:
    return client_of(admin)


@pytest.mark.parametrize("sent", [{}, {"do": "start"}])
def test_an_empty_form_does_not_resume_blocking(managing: Client, admin: User, sent: dict[str, str]) -> None:
    blocking.stop_all_blocking(admin)

    assert managing.post("/settings/blocking/", sent).status_code == 422
    assert FleetState.objects.get().blocking_stopped is True


def test_an_empty_form_does_not_switch_sensors_off(managing: Client) -> None:
    env = estate.environment()

    assert managing.post(f"/settings/environments/{env.pk}/switch/").status_code == 422
    env.refresh_from_db()
    assert env.sensor_enabled is True


def test_the_switchs_form_says_no_where_it_is_off(managing: Client) -> None:
    estate.environment(sensor_enabled=False)

    page = managing.get("/settings/environments/").content.decode()

    assert page.index('name="on" value="0"') < page.index('name="on" value="1"')
