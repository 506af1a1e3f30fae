"""Enrolment after a restore, and by what somebody copied: tokens and credentials."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from drift.fleet.actions.enrolment_tokens import revoke_enrolment_token
from drift.fleet.actions.sensors import release_sensor
from drift.fleet.models import EnrolmentToken, Sensor, SensorState
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _no_guesses_yet() -> None:
    cache.clear()


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_node_that_enrolled_after_the_backup_of_a_restored_portal_enrols_again_by_its_token() -> None:
    _, text = estate.token(estate.environment(), max_live_nodes=1)
    lost = estate.enrol(text).json()["credential"]
    Sensor.objects.all().delete()  # the backup does not have it
    assert estate.as_sensor(lost).get(estate.POLICY).status_code == 401

    answer = estate.enrol(text, previous_credential=lost)

    assert answer.status_code == 201
    assert Sensor.objects.get().state == SensorState.LIVE


def test_a_node_with_a_newer_credential_than_a_restored_portal_knows_waits_until_it_is_released(admin: Any) -> None:
    _, text = estate.token(estate.environment())
    first = estate.enrol(text).json()["credential"]
    backup = Sensor.objects.values("credential_prefix", "credential_digest").get()
    second = estate.enrol(text, previous_credential=first).json()["credential"]
    Sensor.objects.update(**backup)

    assert code(estate.enrol(text, previous_credential=second)) == (409, "node_in_use")
    release_sensor(admin, Sensor.objects.get())
    assert estate.enrol(text, previous_credential=second).status_code == 201


def test_a_token_that_a_restored_portal_does_not_know_enrols_nobody() -> None:
    row, text = estate.token(estate.environment())
    row.delete()

    assert code(estate.enrol(text)) == (401, "invalid_token")


def test_a_revoked_token_that_a_backup_brings_back_enrols_within_its_limit_and_expiry_until_it_is_revoked_again(
    admin: Any,
) -> None:
    row, text = estate.token(estate.environment(), max_live_nodes=2)
    estate.enrol(text)
    revoke_enrolment_token(admin, row)
    EnrolmentToken.objects.update(revoked_at=None)

    assert estate.enrol(text, node="node-2").status_code == 201
    assert code(estate.enrol(text, node="node-3")) == (403, "token_used_up")
    EnrolmentToken.objects.update(expires_at=timezone.now())
    assert code(estate.enrol(text, node="node-3")) == (403, "token_expired")
    EnrolmentToken.objects.update(expires_at=None)
    revoke_enrolment_token(admin, EnrolmentToken.objects.get())
    assert code(estate.enrol(text, node="node-3")) == (403, "token_revoked")


def test_a_duplicated_token_enrols_no_second_machine_under_a_nodes_name_and_no_more_nodes_than_its_limit() -> None:
    _, text = estate.token(estate.environment(), max_live_nodes=2)

    answers = [estate.enrol(text, node=node) for node in ("node-1", "node-1", "node-2", "node-3")]

    assert [answer.status_code for answer in answers] == [201, 409, 201, 403]


def test_of_two_machines_with_one_copied_credential_the_one_that_enrolled_last_lives() -> None:
    _, text = estate.token(estate.environment())
    copied = estate.enrol(text).json()["credential"]

    clone = estate.enrol(text, previous_credential=copied)

    assert clone.status_code == 201
    assert estate.as_sensor(copied).get(estate.POLICY).status_code == 401
    assert code(estate.enrol(text, previous_credential=copied)) == (409, "node_in_use")
    assert estate.as_sensor(clone.json()["credential"]).get(estate.POLICY).status_code != 401
    assert Sensor.objects.count() == 1
