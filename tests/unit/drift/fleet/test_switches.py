"""Nothing stops or starts a fleet without an explicit choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
from django.test import Client

from accounts.models import User
from drift.fleet.actions import blocking_switch
from drift.fleet.actions import environments as estate_actions
from drift.fleet.models import FleetState
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture
def managing(admin: User, client_of: Callable[[User], Client], queued: Any) -> Client:
    return client_of(admin)


@pytest.mark.parametrize("sent", [{}, {"do": "start"}])
def test_an_empty_form_does_not_resume_blocking(managing: Client, admin: User, sent: dict[str, str]) -> None:
    blocking_switch.stop_all_blocking(admin)

    assert managing.post("/settings/blocking/", sent).status_code == 422
    assert FleetState.objects.get().blocking_stopped is True


def test_an_empty_form_does_not_switch_sensors_off(managing: Client) -> None:
    env = estate.environment()

    assert managing.post(f"/settings/environments/{env.pk}/switch/").status_code == 422
    env.refresh_from_db()
    assert env.sensor_enabled is True


def test_the_form_of_a_disabled_environment_defaults_to_off(managing: Client) -> None:
    estate.environment(sensor_enabled=False)

    page = managing.get("/settings/environments/").content.decode()

    assert page.index('name="on" value="0"') < page.index('name="on" value="1"')


def test_a_change_of_several_fields_is_all_or_nothing(
    admin: User, api_of: Callable[[User], Client], queued: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = estate.environment(name="Before")
    monkeypatch.setattr(estate_actions, "retire_environment", Mock(side_effect=RuntimeError))
    body = {"name": "After", "sensor_enabled": False, "retired": True}

    with pytest.raises(RuntimeError):
        api_of(admin).patch(f"/api/v1/environments/{env.pk}/", body, content_type="application/json")

    env.refresh_from_db()
    assert (env.name, env.sensor_enabled) == ("Before", True)


def test_a_sensor_s_report_cannot_forge_a_log_line(admin: User, queued: Any, caplog: pytest.LogCaptureFixture) -> None:
    sensor, credential = estate.sensor(estate.cluster())
    body = {"number": 1, "digest": "0" * 64, "state": "rejected", "error": "bad\nERROR all is lost"}

    estate.as_sensor(credential).post(estate.STATUS, body, content_type="application/json")

    said = [record.getMessage() for record in caplog.records if "rejected" in record.getMessage()]
    assert [str(sensor.pk) in line and "\n" not in line for line in said] == [True]
