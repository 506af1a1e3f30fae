"""A user with a scope backtests the events in it, and loses a result with the scope that it was counted in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import ApiToken, ScopeEntry, User
from drift.backtest.actions import runs
from drift.backtest.models import BacktestRun
from drift.backtest.queries.runs import draft_run
from drift.fleet.models import Cluster
from sensor.policy import default_document, digest, normalise

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

API = "/api/v1/backtests/"
ALERTING = normalise({**default_document(), "default": {"action": "alert"}})
Store = Callable[..., Any]


def token_of(user: User) -> ApiToken:
    expires_at = timezone.now() + dt.timedelta(days=1)
    return ApiToken.objects.create(user=user, name="ci", prefix="abc", digest=b"x" * 32, expires_at=expires_at)


@pytest.fixture(autouse=True)
def _sent(queued: list[Any]) -> None:
    """Runs are performed here."""


@pytest.fixture
def events(store: Store) -> None:
    for number in range(2):
        store("shop", f"/tmp/mine-{number}")
    for number in range(5):
        store("bank", f"/tmp/secret-{number}")


def limited(user: User, cluster: Cluster, *namespaces: str) -> User:
    User.objects.filter(pk=user.pk).update(is_scoped=True)
    for namespace in namespaces:
        ScopeEntry.objects.create(user=user, cluster=cluster, namespace=namespace)
    return User.objects.get(pk=user.pk)


def performed(user: User) -> BacktestRun:
    run = runs.start(user, ALERTING, 1, 1)
    runs.perform(run.pk)
    return BacktestRun.objects.get(pk=run.pk)


@pytest.fixture
def viewer(operator: User, cluster: Cluster, events: None) -> User:
    return limited(operator, cluster, "shop")


def test_a_run_counts_the_events_in_scope_alone(viewer: User, admin: User) -> None:
    result = performed(viewer).result or {}
    assert (result["events"], result["workloads"], result["alerts"]["after"]) == (2, 1, 2)
    assert "secret" not in str(result)
    assert (performed(admin).result or {})["events"] == 7


def test_without_any_part_a_run_counts_nothing(operator: User, cluster: Cluster, events: None) -> None:
    result = performed(limited(operator, cluster)).result or {}
    assert (result["events"], result["workloads"]) == (0, 0)


def test_runs_of_others_are_not_found_and_everybody_who_sees_the_estate_sees_all(
    viewer: User, admin: User, client_of: Callable[[User], Client], api_of: Callable[[User], Client]
) -> None:
    other, own = performed(admin), performed(viewer)
    for path in (f"/settings/policy/backtests/{other.pk}/", f"{API}{other.pk}/"):
        client = api_of(viewer) if path.startswith(API) else client_of(viewer)
        assert client.get(path).status_code == 404
    assert api_of(viewer).post(f"{API}{other.pk}/cancel/").status_code == 404
    assert [run["id"] for run in api_of(viewer).get(API).json()["results"]] == [own.pk]
    assert {run["id"] for run in api_of(admin).get(API).json()["results"]} == {own.pk, other.pk}


def test_a_result_goes_with_the_scope_that_it_was_counted_in(
    viewer: User, cluster: Cluster, api_of: Callable[[User], Client]
) -> None:
    ScopeEntry.objects.create(user=viewer, cluster=cluster, namespace="bank")
    wide = performed(User.objects.get(pk=viewer.pk))
    assert (wide.result or {})["events"] == 7
    assert api_of(viewer).get(f"{API}{wide.pk}/").status_code == 200
    ScopeEntry.objects.filter(user=viewer, namespace="bank").delete()
    assert api_of(viewer).get(f"{API}{wide.pk}/").status_code == 404


def test_a_result_of_the_whole_estate_goes_when_its_author_gets_a_scope(
    operator: User, cluster: Cluster, events: None, api_of: Callable[[User], Client]
) -> None:
    whole = performed(operator)
    limited(operator, cluster, "shop")
    assert api_of(operator).get(f"{API}{whole.pk}/").status_code == 404


def test_a_scope_that_changes_before_the_run_begins_fails_it(viewer: User, cluster: Cluster) -> None:
    run = runs.start(viewer, ALERTING, 1, 1)
    ScopeEntry.objects.create(user=viewer, cluster=cluster, namespace="bank")
    runs.perform(run.pk)
    run.refresh_from_db()
    assert (run.state, run.result) == ("failed", None)
    assert "has changed since" in run.error


def test_a_cluster_that_enrols_later_keeps_the_results(operator: User, cluster: Cluster, events: None) -> None:
    User.objects.filter(pk=operator.pk).update(is_scoped=True)
    ScopeEntry.objects.create(user=operator, environment=cluster.environment)
    run = performed(User.objects.get(pk=operator.pk))
    Cluster.objects.create(environment=cluster.environment, name="new", distribution="other")
    assert BacktestRun.objects.visible_to(User.objects.get(pk=operator.pk)).filter(pk=run.pk).exists()


def test_a_scoped_token_counts_its_part_and_never_gets_the_run_of_the_whole_estate(
    admin: User, cluster: Cluster, events: None
) -> None:
    whole = runs.start(admin, ALERTING, 1, 1)
    token = token_of(admin)
    ScopeEntry.objects.create(token=token, cluster=cluster, namespace="shop")
    narrowed = User.objects.get(pk=admin.pk)
    narrowed.narrowed_by = token.pk
    run = runs.start(narrowed, ALERTING, 1, 1)
    assert run.pk != whole.pk
    runs.perform(run.pk)
    run.refresh_from_db()
    assert (run.result or {})["events"] == 2
    assert not BacktestRun.objects.visible_to(narrowed).filter(pk=whole.pk).exists()
    found = draft_run(admin, whole.base, digest(ALERTING))
    assert found is not None
    assert found.pk == whole.pk


def test_a_run_whose_token_ended_sees_nothing(admin: User, cluster: Cluster, events: None) -> None:
    token = token_of(admin)
    ScopeEntry.objects.create(token=token, cluster=cluster, namespace="shop")
    narrowed = User.objects.get(pk=admin.pk)
    narrowed.narrowed_by = token.pk
    run = runs.start(narrowed, ALERTING, 1, 1)
    token.delete()
    runs.perform(run.pk)
    run.refresh_from_db()
    assert (run.state, run.result) == ("failed", None)
