"""Pausing, resuming, rolling back and planning rollouts, by page and by API."""

from __future__ import annotations

from typing import Any

import pytest

from drift.fleet.actions import rollouts
from drift.fleet.models import Environment, Rollout, RolloutPlan
from drift.policy.models import PolicyVersion
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]

PLAN = {"waves": [{"percent": 10}], "pause_minutes": 30, "max_rejected": 5, "max_alerts": 3}


@pytest.fixture(autouse=True)
def _no_redis(pushed: Any, queued: Any) -> None:
    """Nothing here reaches a broker or a gateway."""


@pytest.fixture
def trial() -> Rollout:
    """Version 2 in its first wave."""
    estate.sensor(estate.cluster())
    RolloutPlan.objects.update(waves=PLAN["waves"])
    estate.version(2, default={"action": "alert"})
    rollouts.start_rollout(2)
    return Rollout.objects.get(version=2)


def page(client: Any, number: int) -> str:
    return " ".join(client.get(f"/rollouts/{number}/").content.decode().split())


def test_the_page_shows_the_wave_and_offers_pause_and_roll_back(trial: Rollout, admin: Any, client_of: Any) -> None:
    text = page(client_of(admin), 2)

    assert "Wave 1 of 1, then all sensors; the next starts on" in text
    assert "Pause" in text
    assert "Roll back to v1" in text


def test_a_reader_sees_no_buttons(trial: Rollout, reader: Any, client_of: Any) -> None:
    text = page(client_of(reader), 2)

    assert "Wave 1 of 1" in text
    assert "Roll back" not in text


def test_pausing_and_resuming_by_page(trial: Rollout, admin: Any, client_of: Any) -> None:
    client = client_of(admin)

    client.post("/rollouts/2/pause/")
    assert "Paused by Admin" in page(client, 2)
    client.post("/rollouts/2/resume/")

    assert "Paused by Admin" not in page(client, 2)
    assert client.post("/rollouts/2/explode/").status_code == 404


def test_a_button_in_focus_is_not_replaced_by_one_of_the_opposite_meaning(
    trial: Rollout, admin: Any, client_of: Any
) -> None:
    client = client_of(admin)
    assert 'id="pause"' in page(client, 2)

    client.post("/rollouts/2/pause/")

    assert 'id="pause"' not in page(client, 2)


def test_rolling_back_by_page_leads_to_the_new_version(trial: Rollout, admin: Any, client_of: Any) -> None:
    answer = client_of(admin).post("/rollouts/2/roll-back/")

    assert answer["Location"] == "/rollouts/3/"
    assert PolicyVersion.objects.get(pk=3).comment == "Rolled back from v2 to v1"
    assert "Roll back" not in page(client_of(admin), 2)


def test_a_late_rollback_is_rejected_with_an_explanation(trial: Rollout, admin: Any, client_of: Any) -> None:
    estate.version(3)

    answer = client_of(admin).post("/rollouts/2/roll-back/", follow=True)

    assert "no longer the newest version" in answer.content.decode()


def test_an_unknown_version_is_not_rolled_back(admin: Any, client_of: Any, api_of: Any) -> None:
    assert client_of(admin).post("/rollouts/99/roll-back/").status_code == 404
    assert api_of(admin).post("/api/v1/rollouts/99/roll-back/").status_code == 404


def test_the_plan_is_saved_as_entered(admin: Any, client_of: Any) -> None:
    environment = estate.environment()
    typed = {"environments": [environment.pk], "percents": "5, 25", "pause_minutes": "10", "max_rejected": "2"}

    assert client_of(admin).post("/rollouts/plan/", typed).status_code == 302

    plan = RolloutPlan.objects.get()
    assert plan.waves == [{"environments": [environment.pk]}, {"percent": 5}, {"percent": 25}]
    assert (plan.pause_minutes, plan.max_rejected, plan.max_alerts) == (10, 2, None)
    page = client_of(admin).get("/rollouts/plan/").content.decode()
    assert 'value="5, 25"' in page
    assert 'aria-describedby="id_percents_helptext"' in page
    assert 'id="id_percents_helptext">Increasing, from 1 to 99' in page


@pytest.mark.parametrize("percents", ["50, 10", "0", "100", "ten", "5,,6"])
def test_waves_that_do_not_grow_are_rejected(admin: Any, client_of: Any, percents: str) -> None:
    answer = client_of(admin).post(
        "/rollouts/plan/", {"percents": percents, "pause_minutes": "10", "max_rejected": "2"}
    )

    assert answer.status_code == 422
    assert RolloutPlan.objects.get().waves == []


def test_the_api_pauses_resumes_and_rolls_back(trial: Rollout, admin: Any, api_of: Any) -> None:
    api = api_of(admin)

    assert api.post("/api/v1/rollouts/2/pause/").json()["pause_reason"] == "Paused by Admin"
    assert api.post("/api/v1/rollouts/2/resume/").json()["paused_at"] is None
    answer = api.post("/api/v1/rollouts/2/roll-back/")
    assert (answer.status_code, answer.json()["number"], answer.json()["waves"]) == (201, 3, [])
    assert api.post("/api/v1/rollouts/2/roll-back/").json()["code"] == "not_newest"


def test_a_token_for_the_fleet_pauses_a_rollout_and_needs_the_scope_policy_to_roll_it_back(
    trial: Rollout, admin: Any, api_of: Any
) -> None:
    fleet = api_of(admin, "fleet")

    assert fleet.post("/api/v1/rollouts/2/pause/").status_code == 200
    answer = fleet.post("/api/v1/rollouts/2/roll-back/")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "the scope policy" in answer.json()["message"]
    assert PolicyVersion.objects.latest("number").number == 2
    assert api_of(admin, "policy").post("/api/v1/rollouts/2/roll-back/").status_code == 201


def test_the_api_returns_and_changes_the_plan(admin: Any, api_of: Any) -> None:
    api = api_of(admin)

    assert api.put("/api/v1/rollout-plan/", PLAN, content_type="application/json").json() == PLAN
    assert api.get("/api/v1/rollout-plan/").json() == PLAN
    both = {**PLAN, "waves": [{"percent": 10, "environments": [1]}]}
    assert api.put("/api/v1/rollout-plan/", both, content_type="application/json").status_code == 400
    assert Environment.objects.count() == 0
