"""What a user or token with a scope sees: the union of its parts, narrowed by the token, and nothing without any."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, models, transaction
from django.test import Client
from django.test.utils import isolate_apps
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import ApiToken, ScopeEntry, ScopeGroup, User
from accounts.models.visibility import check_visibility
from accounts.roles import Role
from drift.alerts.models import Workload
from drift.fleet.models import Cluster, EnrolmentToken, Environment
from portal.access import TABLE, Access

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture
def estate(db: None) -> dict[str, Any]:
    """Two environments of two clusters each, and in each cluster a workload in `shop` and one in `bank`."""
    rows: dict[str, Any] = {}
    for name, clusters in (("east", ("e1", "e2")), ("west", ("w1", "w2"))):
        environment = Environment.objects.create(provider="aws", account=name, name=name)
        rows[name] = environment
        for each in clusters:
            cluster = Cluster.objects.create(environment=environment, name=each, distribution="other")
            rows[each] = cluster
            for index, namespace in enumerate(("shop", "bank")):
                Workload.objects.create(
                    digest=f"{cluster.pk:031x}{index}",
                    scope=f"{cluster.pk:031x}{index}",
                    cluster=cluster,
                    namespace=namespace,
                    first_seen_on="2026-01-01",
                    last_seen_on="2026-01-01",
                )
    return rows


def scoped(user: User, *entries: dict[str, Any]) -> User:
    user.is_scoped = True
    user.save()
    for entry in entries:
        ScopeEntry.objects.create(user=user, **entry)
    return User.objects.get(pk=user.pk)


def workloads(viewer: Any) -> set[str]:
    return {f"{row.cluster.name}/{row.namespace}" for row in Workload.objects.visible_to(viewer)}


def names(model: Any, viewer: Any) -> set[str]:
    return set(model.objects.visible_to(viewer).values_list("name", flat=True))


EVERYTHING = {f"{cluster}/{namespace}" for cluster in ("e1", "e2", "w1", "w2") for namespace in ("shop", "bank")}


def test_without_a_scope_a_user_sees_everything_without_any_query_for_it(
    operator: User, estate: dict[str, Any], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        assert operator.sees_whole_estate
    assert workloads(operator) == EVERYTHING


def test_a_user_with_a_scope_and_no_part_sees_nothing(operator: User, estate: dict[str, Any]) -> None:
    viewer = scoped(operator)
    assert workloads(viewer) == set()
    assert names(Environment, viewer) == names(Cluster, viewer) == set()


@pytest.mark.parametrize(
    ("places", "seen", "clusters", "environments"),
    [
        ([{"environment": "east"}], {"e1/shop", "e1/bank", "e2/shop", "e2/bank"}, {"e1", "e2"}, {"east"}),
        ([{"cluster": "w1"}], {"w1/shop", "w1/bank"}, {"w1"}, {"west"}),
        ([{"namespace": "shop"}], {"e1/shop", "e2/shop", "w1/shop", "w2/shop"}, set(), set()),
        ([{"environment": "west", "namespace": "bank"}], {"w1/bank", "w2/bank"}, {"w1", "w2"}, {"west"}),
        ([{"cluster": "e2", "namespace": "bank"}], {"e2/bank"}, {"e2"}, {"east"}),
        (
            [{"cluster": "e2", "namespace": "bank"}, {"cluster": "e2"}, {"environment": "west", "namespace": "shop"}],
            {"e2/bank", "e2/shop", "w1/shop", "w2/shop"},
            {"e2", "w1", "w2"},
            {"east", "west"},
        ),
        ([{"namespace": "no such"}], set(), set(), set()),
    ],
    ids=[
        "environment",
        "cluster",
        "namespace anywhere",
        "namespace of environment",
        "namespace of cluster",
        "mix",
        "none",
    ],
)
def test_parts_add_up(
    places: list[dict[str, str]],
    seen: set[str],
    clusters: set[str],
    environments: set[str],
    operator: User,
    estate: dict[str, Any],
) -> None:
    entries = [{key: estate.get(value, value) for key, value in place.items()} for place in places]
    viewer = scoped(operator, *entries)
    assert workloads(viewer) == seen
    assert names(Cluster, viewer) == clusters
    assert names(Environment, viewer) == environments


def test_a_cluster_that_enrols_later_belongs_to_its_environment(operator: User, estate: dict[str, Any]) -> None:
    scoped(operator, {"environment": estate["east"]})
    Cluster.objects.create(environment=estate["east"], name="e3", distribution="other")
    Cluster.objects.create(environment=estate["west"], name="w3", distribution="other")
    assert names(Cluster, User.objects.get(pk=operator.pk)) == {"e1", "e2", "e3"}


def test_an_environment_without_clusters_is_seen_by_who_is_given_it(operator: User, estate: dict[str, Any]) -> None:
    empty = Environment.objects.create(provider="gcp", account="empty", name="empty")
    assert names(Environment, scoped(operator, {"environment": empty})) == {"empty"}


def test_a_user_sees_the_parts_of_their_groups_and_no_others(
    operator: User, reader: User, estate: dict[str, Any]
) -> None:
    team, others = ScopeGroup.objects.create(name="team"), ScopeGroup.objects.create(name="others")
    team.members.set([operator, reader])
    others.members.set([reader])
    ScopeEntry.objects.create(group=team, cluster=estate["e1"])
    ScopeEntry.objects.create(group=others, cluster=estate["w1"])
    ScopeEntry.objects.create(user=reader, cluster=estate["w2"])
    assert workloads(scoped(operator, {"cluster": estate["e2"], "namespace": "shop"})) == {
        "e1/shop",
        "e1/bank",
        "e2/shop",
    }


def test_a_group_may_give_the_whole_estate_but_not_more_than_an_operator(admin: User, estate: dict[str, Any]) -> None:
    team = ScopeGroup.objects.create(name="team", whole_estate=True)
    viewer = scoped(admin)
    assert workloads(viewer) == set()
    team.members.add(admin)
    viewer = User.objects.get(pk=admin.pk)
    assert workloads(viewer) == EVERYTHING
    assert (viewer.can_triage, viewer.can_edit_policy) == (True, False)


def test_a_scope_takes_two_queries_however_many_parts(
    operator: User, estate: dict[str, Any], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    group = ScopeGroup.objects.create(name="team")
    group.members.add(operator)
    for index in range(50):
        ScopeEntry.objects.create(group=group, cluster=estate["e1"], namespace=f"n{index}")
    viewer = scoped(operator, {"environment": estate["west"]})
    with django_assert_num_queries(2):
        assert not viewer.sees_whole_estate
        viewer.scope.condition("cluster", "namespace")


@pytest.mark.parametrize("role", ["admin", "owner"])
def test_with_a_scope_nobody_is_more_than_an_operator(role: str, request: pytest.FixtureRequest) -> None:
    user = scoped(request.getfixturevalue(role))
    assert [each for each in Role if user.has_role(each)] == [Role.READER, Role.OPERATOR]


def test_a_scope_gives_no_role(reader: User) -> None:
    assert not scoped(reader).has_role(Role.OPERATOR)


def test_a_part_ends_with_its_cluster_and_leaves_the_user_with_nothing(operator: User, estate: dict[str, Any]) -> None:
    cluster = Cluster.objects.create(environment=estate["east"], name="gone", distribution="other")
    scoped(operator, {"cluster": cluster})
    cluster.delete()
    viewer = User.objects.get(pk=operator.pk)
    assert (viewer.sees_whole_estate, workloads(viewer), names(Cluster, viewer)) == (False, set(), set())


def test_a_deactivated_or_anonymous_user_sees_nothing(operator: User, estate: dict[str, Any]) -> None:
    viewer = scoped(operator, {"environment": estate["east"]})
    viewer.is_active = False
    assert workloads(viewer) == workloads(AnonymousUser()) == set()


def _token(user: User, *entries: dict[str, Any], is_scoped: bool = True) -> User:
    """Return the user as the middleware gives them to a request with a new token."""
    from accounts import tokens
    from accounts.actions.tokens import authenticate_token

    new = tokens.new_token(tokens.PERSON)
    row = ApiToken.objects.create(
        user=user,
        name="t",
        prefix=new.prefix,
        digest=new.digest,
        is_scoped=is_scoped,
        scopes=list(tokens.TokenScope),
        expires_at=timezone.now() + dt.timedelta(days=1),
    )
    for entry in entries:
        ScopeEntry.objects.create(token=row, **entry)
    token = authenticate_token(new.token, "")
    assert token
    return token.limited_user()


def test_a_token_narrows_what_its_owner_sees_and_never_widens_it(operator: User, estate: dict[str, Any]) -> None:
    scoped(operator, {"environment": estate["east"]})
    assert workloads(_token(operator, {"namespace": "shop"})) == {"e1/shop", "e2/shop"}
    assert workloads(_token(operator, {"cluster": estate["w1"]})) == set()
    assert workloads(_token(operator, {"cluster": estate["w1"]}, {"cluster": estate["e1"]})) == {"e1/shop", "e1/bank"}
    assert workloads(_token(operator)) == set()
    assert workloads(_token(operator, is_scoped=False)) == {"e1/shop", "e1/bank", "e2/shop", "e2/bank"}


def test_a_scoped_token_of_an_owner_acts_as_an_operator_in_its_scope(owner: User, estate: dict[str, Any]) -> None:
    viewer = _token(owner, {"cluster": estate["w1"]})
    assert workloads(viewer) == {"w1/shop", "w1/bank"}
    assert (viewer.has_role(Role.OPERATOR), viewer.has_role(Role.ADMIN)) == (True, False)


def test_the_scope_of_a_token_is_its_own(owner: User, operator: User, estate: dict[str, Any]) -> None:
    _token(operator, {"cluster": estate["w1"]})
    assert workloads(_token(owner, {"cluster": estate["e1"]})) == {"e1/shop", "e1/bank"}


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"namespace": "shop"},
        {"user": "operator"},
        {"user": "operator", "group": "team", "namespace": "shop"},
        {"user": "operator", "environment": "east", "cluster": "e1"},
    ],
    ids=["nothing", "nobody", "no place", "two holders", "two places"],
)
def test_the_database_refuses_an_entry_without_one_holder_and_one_place(
    entry: dict[str, str], operator: User, estate: dict[str, Any]
) -> None:
    known = {**estate, "operator": operator, "team": ScopeGroup.objects.create(name="team")}
    with pytest.raises(IntegrityError), transaction.atomic():
        ScopeEntry.objects.create(**{key: known.get(value, value) for key, value in entry.items()})


def test_an_entry_is_stored_once(operator: User, estate: dict[str, Any]) -> None:
    scoped(operator, {"environment": estate["east"]})
    with pytest.raises(IntegrityError), transaction.atomic():
        ScopeEntry.objects.create(user=operator, environment=estate["east"])


def test_a_page_of_the_whole_estate_is_closed_to_users_and_tokens_with_a_scope(
    operator: User,
    owner: User,
    client_of: Callable[[User], Client],
    estate: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(TABLE, "accounts:tokens", Access(Role.READER, Role.READER, whole_estate=True))
    page = reverse("accounts:tokens")
    assert client_of(operator).get(page).status_code == 200
    scoped(operator, {"environment": estate["east"]})
    response = client_of(operator).get(page)
    assert response.status_code == 403
    assert "requires access to the whole estate" in response.content.decode()
    team = ScopeGroup.objects.create(name="team", whole_estate=True)
    team.members.add(operator)
    assert client_of(operator).get(page).status_code == 200


def test_a_scoped_admin_is_told_that_the_scope_is_why(admin: User, client_of: Callable[[User], Client]) -> None:
    scoped(admin)
    response = client_of(admin).get(reverse("notify:configure"))
    assert response.status_code == 403
    assert "with a scope nobody has more than Security Operator" in response.content.decode()


def test_a_reader_is_told_the_role_alone(reader: User, client_of: Callable[[User], Client]) -> None:
    scoped(reader)
    assert "with a scope" not in client_of(reader).get(reverse("notify:configure")).content.decode()


def test_every_enrolment_token_is_hidden_from_a_scope(operator: User, estate: dict[str, Any]) -> None:
    EnrolmentToken.objects.create(name="t", prefix="t", digest=b"", environment=estate["east"])
    assert names(EnrolmentToken, scoped(operator, {"environment": estate["east"]})) == set()


@isolate_apps("drift.fleet")
def test_a_model_that_declares_no_visibility_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgotten(models.Model):
        class Meta:
            app_label = "fleet"

        def __str__(self) -> str:
            return "forgotten"

    Forgotten.__module__ = "drift.fleet.models.forgotten"
    monkeypatch.setattr(apps, "get_models", lambda: [Forgotten])
    (error,) = check_visibility()
    assert error.msg == "fleet.Forgotten does not declare `visibility`."


def test_every_model_declares_its_visibility() -> None:
    assert check_visibility() == []
