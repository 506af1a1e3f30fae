"""Nothing stops or starts a fleet without an explicit choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
from django.test import Client

from accounts.models import AuditEntry, User
from drift.fleet.actions import blocking_switch, rollouts
from drift.fleet.actions import environments as estate_actions
from drift.fleet.models import Delivery, DeliveryState, FleetState
from tests.unit.drift.fleet import estate
from tests.unit.drift.policy.samples import document, rule

HTMX = {"HX-Request": "true"}

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


def test_switching_off_is_asked_first_with_what_it_stops(managing: Client) -> None:
    cluster = estate.cluster(estate.environment("aws", "7", name="Payments"))
    estate.sensor(cluster)
    here = rule("Block here", action="block", cloud_scope=[{"provider": "aws", "accounts": ["7"]}])
    elsewhere = rule("Block there", action="block", cloud_scope=[{"provider": "azure"}])
    estate.version(2, rules=document(rules=[here, elsewhere])["rules"])

    panel = estate.text_of(managing.get(f"/settings/environments/{cluster.environment_id}/switch/", headers=HTMX))

    assert "<strong>1 sensor</strong> in 1 cluster" in panel
    assert "now done there by Block here." in panel
    cluster.environment.refresh_from_db()
    assert cluster.environment.sensor_enabled is True


def test_what_is_off_is_named_as_not_protected_on_every_page_that_counts_it(managing: Client) -> None:
    cluster = estate.cluster(estate.environment("aws", "7", name="Payments", sensor_enabled=False))
    sensor, _ = estate.sensor(cluster)
    estate.version(2)
    rollouts.start_rollout(2)
    Delivery.objects.update(state=DeliveryState.APPLIED)

    line = estate.text_of(managing.get("/settings/delivery-line/"))
    assert "0 of 1 sensor, 1 not protected (switched off)" in line
    assert "tone-success" not in line
    for page, words in (
        ("/settings/environments/", "Sensors are switched off in Payments: 1 sensor is not protected"),
        ("/settings/blocking/note/", "Sensors are switched off in Payments: 1 sensor is not protected"),
        (f"/clusters/{cluster.pk}/", "Not protected: environment off"),
        (f"/sensors/{sensor.pk}/", "Not protected: environment off"),
        ("/rollouts/2/", "1 not protected (switched off)"),
    ):
        assert words in estate.text_of(managing.get(page)), page


def test_a_stop_is_explained_to_everybody_and_in_the_audit_log(
    managing: Client, client_of: Callable[[User], Client], reader: User
) -> None:
    estate.version(2, rules=document(rules=[rule("Block it", action="block")])["rules"])

    panel = estate.text_of(managing.get("/settings/blocking/", headers=HTMX))
    assert "1: Block it" in panel
    assert panel.index("autofocus") < panel.index('type="submit"')
    managing.post("/settings/blocking/", {"do": "stop", "reason": "Incident 12"})

    pages = client_of(reader)
    for path in ("/settings/environments/", "/settings/blocking/note/"):
        assert "Incident 12" in estate.text_of(pages.get(path))
    block_panel = pages.get("/settings/blocking/unable/", {"action": "block"}, headers=HTMX)
    assert "This rule will only alert until it is resumed" in estate.text_of(block_panel)
    assert AuditEntry.objects.get(verb="stopped").after == {"blocking_stopped": True, "reason": "Incident 12"}
    blocking_switch.resume_blocking(User.objects.get(pk=int(managing.session["_auth_user_id"])))
    assert "Incident 12" not in estate.text_of(pages.get("/settings/blocking/note/"))


def test_a_reason_that_hides_a_character_is_refused_beside_its_field(managing: Client) -> None:
    answer = managing.post("/settings/blocking/", {"do": "stop", "reason": "safe\u202etxt"}, headers=HTMX)

    assert (answer.status_code, FleetState.objects.get().blocking_stopped) == (422, False)
    assert "is not allowed" in answer.content.decode()
    assert " data-typed>" in answer.content.decode()
    assert " data-typed" not in managing.get("/settings/blocking/", headers=HTMX).content.decode()


def test_a_second_stop_changes_the_reason_alone(admin: User, queued: Any) -> None:
    blocking_switch.stop_all_blocking(admin, "First")
    before = FleetState.objects.get()
    assert blocking_switch.stop_all_blocking(admin, "Second") is False
    assert blocking_switch.stop_all_blocking(admin) is False
    after = FleetState.objects.get()
    assert (after.blocking_reason, after.blocking_changed_at) == ("Second", before.blocking_changed_at)


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
