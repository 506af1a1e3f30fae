"""Sensor onboarding: tokens created, shown once, revoked."""

from __future__ import annotations

from typing import Any

import pytest

from drift.fleet.models import (
    Cluster,
    EnrolmentToken,
    Environment,
    Sensor,
    SensorState,
)
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _no_redis(pushed: Any, queued: Any) -> None:
    """Nothing here reaches a broker or a gateway."""


def test_a_token_is_shown_once_with_its_commands(managing: Any, settings: Any) -> None:
    env = estate.environment()
    wanted = {"name": "Nodes", "environment": env.pk, "days": "30", "max_live_nodes": "50"}

    made = estate.text_of(managing.post("/settings/onboarding/", wanted))

    row = EnrolmentToken.objects.get()
    assert f"dwe_{row.prefix}_" in made
    assert f"python -m sensor enrol --portal {settings.PUBLIC_URL} --cluster" in made
    assert f"create secret generic driftwatch-enrolment --from-literal=token='dwe_{row.prefix}_" in made
    assert f"- PORTAL={settings.PUBLIC_URL}" in made
    assert (row.environment, row.max_live_nodes, str(row.created_by)) == (env, 50, "Admin")
    assert row.expires_at is not None
    assert f"dwe_{row.prefix}_" not in estate.text_of(managing.get("/settings/onboarding/"))


def test_a_token_created_on_the_page_enrols(managing: Any) -> None:
    env = estate.environment()
    wanted = {"name": "Nodes", "environment": env.pk, "max_live_nodes": "50"}

    made = estate.text_of(managing.post("/settings/onboarding/", wanted))

    text = made.split('id="token-text">')[1].split("<")[0]
    assert estate.enrol(text).status_code == 201


def test_a_token_for_a_cluster_of_another_environment_is_rejected(managing: Any) -> None:
    env = estate.environment()
    estate.cluster(estate.environment("aws", "1"), "other")
    wanted = {"name": "Nodes", "environment": env.pk, "cluster": "other", "max_live_nodes": "50"}

    answer = managing.post("/settings/onboarding/", wanted)

    assert answer.status_code == 422
    assert not EnrolmentToken.objects.exists()


def test_a_token_is_revoked_and_its_sensors_remain(managing: Any) -> None:
    env = estate.environment()
    row, _ = estate.token(env)
    estate.sensor(estate.cluster(env), by=row)

    managing.post(f"/settings/onboarding/{row.pk}/revoke/")

    row.refresh_from_db()
    assert row.revoked_at is not None
    assert Sensor.objects.get().state == SensorState.LIVE


def test_the_command_prints_a_token_that_enrols_and_adds_the_environment(capsys: Any) -> None:
    from django.core.management import call_command

    call_command("enrolment_token", "--environment", "gcp:project-7:Learning", "--name", "Demo")

    text = capsys.readouterr().out.strip()
    assert estate.enrol(text).json()["account"] == "project-7"
    assert Environment.objects.get().name == "Learning"
    assert Cluster.objects.count() == 1
