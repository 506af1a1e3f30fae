"""What users with a scope see of the fleet: their places, and counts of their sensors alone."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import ScopeEntry, User
from drift.fleet.actions.blocking_switch import stop_all_blocking
from drift.fleet.models import Cluster, Delivery, DeliveryState, Rollout, RolloutPlan, Sensor
from drift.fleet.queries.estate_tree import TreeFilters, Trouble, estate_tree
from drift.policy.models import PolicyVersion
from tests.unit.drift.fleet import estate

pytestmark = [pytest.mark.services, pytest.mark.django_db]

FOREIGN = "secret"
As = Callable[[User], Client]


@dataclass
class Fleet:
    """Mine has one sensor that applied version 1 at once; two foreign ones are offline and rejected it."""

    mine: Cluster
    foreign: Cluster
    own: Sensor
    others: list[Sensor]
    rollout: Rollout


@pytest.fixture
def fleet(queued: list[Any]) -> Fleet:
    here = estate.environment("azure", "sub-mine", name="Mine")
    there = estate.environment("aws", f"{FOREIGN}-account", name=f"{FOREIGN} place")
    mine, foreign = estate.cluster(here, "blue"), estate.cluster(there, f"{FOREIGN}-cluster")
    own = estate.sensor(mine, "node-mine")[0]
    others = [estate.sensor(foreign, f"{FOREIGN}-node-{number}")[0] for number in range(2)]
    estate.seen(own)
    for other in others:
        estate.seen(other, dt.timedelta(hours=5))
    rollout = Rollout.objects.create(
        version=PolicyVersion.objects.get(number=1),
        waves=[{"environments": [here.pk, there.pk]}],
        waves_left=1,
        paused_at=timezone.now(),
        pause_reason="Halted: 2 of 3 sensors rejected it (limit 5 %)",
    )
    for sensor, state in ((own, DeliveryState.APPLIED), *((each, DeliveryState.REJECTED) for each in others)):
        Delivery.objects.create(
            rollout=rollout, sensor=sensor, state=state, acknowledged_at=timezone.now(), error=f"{FOREIGN} error"
        )
    return Fleet(mine, foreign, own, others, rollout)


def limited(user: User, **entry: Any) -> User:
    User.objects.filter(pk=user.pk).update(is_scoped=True)
    ScopeEntry.objects.create(user=user, **entry)
    return User.objects.get(pk=user.pk)


@pytest.fixture
def viewer(operator: User, fleet: Fleet) -> User:
    return limited(operator, environment=fleet.mine.environment)


@pytest.fixture
def browser(viewer: User, client_of: As) -> Client:
    return client_of(viewer)


@pytest.fixture
def program(viewer: User, api_of: As) -> Client:
    return api_of(viewer)


def text(answer: Any) -> str:
    assert answer.status_code == 200, answer.content[:300]
    return unescape(answer.content.decode())


def test_no_page_of_the_fleet_names_or_counts_a_foreign_sensor(browser: Client, admin: User, fleet: Fleet) -> None:
    stop_all_blocking(admin)
    names = ("environment-settings", "rollouts", "blocking-sensors", "unable-to-block", "scope-tree")
    urls = [reverse(f"fleet:{name}") for name in (*names, "delivery-line")]
    urls += [reverse("health:page"), reverse("fleet:rollout", args=[1]), reverse("fleet:cluster", args=[fleet.mine.pk])]
    urls += [reverse("fleet:sensor", args=[fleet.own.pk])]
    for url in urls:
        for headers in ({}, {"HX-Request": "true"}):
            page = text(browser.get(url, headers=headers)).replace("secret-error", "")
            assert f"{FOREIGN}-" not in page, url
            assert f"{FOREIGN} place" not in page, url
            assert not re.search(r"\bof 3\b", page), url
    assert "applied on 1 sensor" in text(browser.get(reverse("fleet:delivery-line")))
    assert "Halted" in text(browser.get(reverse("fleet:rollout", args=[1])))


def test_the_api_of_the_fleet_has_the_places_in_scope_alone(program: Client, admin: User, fleet: Fleet) -> None:
    for path in ("environments", "clusters", "sensors"):
        results = program.get(f"/api/v1/{path}/").json()["results"]
        assert len(results) == 1, path
    rollout = program.get("/api/v1/rollouts/1/").json()
    assert (rollout["progress"], rollout["pause_reason"]) == ({"total": 1, "applied": 1}, "Halted")
    assert rollout["waves"] == [{"environments": [fleet.mine.environment_id]}]
    assert program.get("/api/v1/rollouts/").json()["results"] == [rollout]
    deliveries = program.get("/api/v1/rollouts/1/deliveries/").json()["results"]
    assert [each["sensor"] for each in deliveries] == [str(fleet.own.pk)]
    assert FOREIGN not in text(program.get(reverse("health-api:health")))
    stop_all_blocking(admin)
    assert program.get("/api/v1/blocking/").json()["sensors"] == 1


def test_a_foreign_id_is_not_found(browser: Client, program: Client, fleet: Fleet) -> None:
    foreign = fleet.others[0].pk
    paths = [f"/clusters/{fleet.foreign.pk}/", f"/sensors/{foreign}/"]
    paths += [f"/api/v1/sensors/{foreign}/", f"/api/v1/environments/{fleet.foreign.environment_id}/"]
    paths[:2] = [reverse("fleet:cluster", args=[fleet.foreign.pk]), reverse("fleet:sensor", args=[foreign])]
    for path in paths:
        client = program if path.startswith("/api/") else browser
        assert client.get(path).status_code == 404, path


def test_what_concerns_the_whole_fleet_is_for_those_who_see_it(
    admin: User, fleet: Fleet, client_of: As, api_of: As
) -> None:
    """With a scope an Admin acts as an Operator, so nothing of this is theirs."""
    limited(admin, environment=fleet.mine.environment)
    for name in ("blocking", "onboarding", "rollout-plan", "environment-add"):
        assert client_of(admin).get(reverse(f"fleet:{name}")).status_code == 403, name
    assert api_of(admin).get(reverse("fleet-api:rollout-plan")).status_code == 403
    changed = api_of(admin).put("/api/v1/blocking/", {"blocking_stopped": True}, content_type="application/json")
    assert changed.status_code == 403
    assert api_of(admin).post(f"/api/v1/sensors/{fleet.own.pk}/revoke/").status_code == 403


def test_a_search_finds_no_environment_by_a_cluster_out_of_scope(operator: User, fleet: Fleet) -> None:
    hidden = estate.cluster(fleet.mine.environment, "hidden")
    viewer = limited(operator, cluster=fleet.mine)
    shown = {group.provider: group.total for group in estate_tree(viewer, TreeFilters(query="hidden"))}
    assert sum(shown.values()) == 0
    assert sum(group.total for group in estate_tree(viewer, TreeFilters(query="blue"))) == 1
    assert hidden.name == "hidden"


def test_the_filter_by_trouble_sees_no_sensor_out_of_scope(operator: User, fleet: Fleet) -> None:
    other = estate.cluster(fleet.mine.environment, "other")
    estate.seen(estate.sensor(other, "away")[0], dt.timedelta(hours=5))
    viewer = limited(operator, cluster=fleet.mine)
    for trouble in (Trouble.OFFLINE, Trouble.EMPTY):
        assert sum(group.total for group in estate_tree(viewer, TreeFilters(trouble=trouble))) == 0, trouble


def test_who_sees_a_namespace_sees_the_names_of_its_places_and_no_sensor(
    operator: User, fleet: Fleet, client_of: As
) -> None:
    viewer = limited(operator, cluster=fleet.mine, namespace="shop")
    browser = client_of(viewer)
    page = text(browser.get("/settings/environments/"))
    assert "Mine" in page
    assert "node-mine" not in page
    assert browser.get(reverse("fleet:sensor", args=[fleet.own.pk])).status_code == 404
    assert "no sensors yet" in text(browser.get(reverse("fleet:delivery-line")))


def test_a_scope_that_is_taken_away_shows_nothing_more(viewer: User, client_of: As, fleet: Fleet) -> None:
    ScopeEntry.objects.filter(user=viewer).delete()
    page = text(client_of(viewer).get("/settings/environments/"))
    assert "Mine" not in page


def test_the_plan_and_reasons_stay_as_they_are_stored(viewer: User, browser: Client, fleet: Fleet) -> None:
    browser.get("/rollouts/1/")
    fleet.rollout.refresh_from_db()
    assert fleet.rollout.pause_reason.endswith("(limit 5 %)")
    assert len(fleet.rollout.waves[0]["environments"]) == 2
    assert RolloutPlan.objects.count() == 1
