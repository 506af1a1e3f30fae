"""Owners give and take scopes and groups; each change is in the audit log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.actions.users import create_service_account
from accounts.models import ApiToken, AuditEntry, ScopeEntry, ScopeGroup, User
from accounts.roles import Role
from drift.fleet.models import Cluster, Environment

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture
def as_owner(owner: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(owner)


@pytest.fixture
def east(db: None) -> Environment:
    return Environment.objects.create(provider="aws", account="east", name="east")


def seen(user: User) -> set[str]:
    viewer = User.objects.get(pk=user.pk)
    return set(Environment.objects.visible_to(viewer).values_list("name", flat=True))


def post(as_owner: Client, name: str, pk: int, /, **data: Any) -> Any:
    return as_owner.post(reverse(f"accounts:{name}", args=[pk]), data, follow=True)


def test_an_owner_limits_a_user_to_an_environment(as_owner: Client, operator: User, east: Environment) -> None:
    Environment.objects.create(provider="aws", account="west", name="west")
    assert seen(operator) == {"east", "west"}

    response = post(as_owner, "user-scope", operator.pk, is_scoped="yes")
    assert "Operator sees nothing" in response.content.decode()
    assert seen(operator) == set()
    response = post(as_owner, "user-part-add", operator.pk, place=f"environment {east.pk}")
    assert "Operator now sees east." in response.content.decode()
    assert seen(operator) == {"east"}

    entry = AuditEntry.objects.order_by("-pk")[0]
    assert (entry.verb, entry.object_type, entry.object_name) == ("changed scope of", "user", operator.email)
    assert (entry.before, entry.after) == (
        {"is_scoped": True, "parts": [], "groups": []},
        {"is_scoped": True, "parts": ["east"], "groups": []},
    )

    part = ScopeEntry.objects.get(user=operator)
    post(as_owner, "scope-part-remove", part.pk)
    assert seen(operator) == set()
    post(as_owner, "user-scope", operator.pk)
    assert seen(operator) == {"east", "west"}


def test_an_owner_gives_a_group_parts_and_members(as_owner: Client, operator: User, east: Environment) -> None:
    cluster = Cluster.objects.create(environment=east, name="e1", distribution="other")
    as_owner.post(reverse("accounts:scopes"), {"name": "Payments"})
    group = ScopeGroup.objects.get()
    post(as_owner, "user-scope", operator.pk, is_scoped="yes", groups=[group.pk])
    post(as_owner, "group-part-add", group.pk, place=f"cluster {cluster.pk}", namespace="shop")
    assert seen(operator) == {"east"}
    assert User.objects.get(pk=operator.pk).scope.holds(cluster.pk, "shop")
    assert not User.objects.get(pk=operator.pk).scope.holds(cluster.pk, "bank")

    text = as_owner.get(reverse("accounts:scope-group", args=[group.pk])).content.decode()
    assert "Cluster east / e1" in text
    assert "Payments" in as_owner.get(reverse("accounts:scopes")).content.decode()
    post(as_owner, "scope-group", group.pk, name="Payments", members=[])
    assert seen(operator) == set()
    post(as_owner, "scope-group", group.pk, name="Payments", members=[operator.pk], whole_estate="on")
    assert seen(operator) == {"east"}
    assert User.objects.get(pk=operator.pk).sees_whole_estate

    post(as_owner, "scope-group-delete", group.pk)
    assert seen(operator) == set()
    verbs = list(AuditEntry.objects.filter(object_type="scope group").order_by("pk").values_list("verb", flat=True))
    assert verbs == ["created", "changed scope of", "changed", "changed", "deleted"]


@pytest.mark.parametrize("role", ["admin", "owner"])
def test_admins_and_owners_are_not_limited(role: str, as_owner: Client, request: pytest.FixtureRequest) -> None:
    user = request.getfixturevalue(role)
    response = post(as_owner, "user-scope", user.pk, is_scoped="yes")
    assert response.status_code == 422
    assert "act on the whole estate" in response.content.decode()
    assert not User.objects.get(pk=user.pk).is_scoped


def test_the_last_owner_who_sees_the_estate_stays_owner(as_owner: Client, owner: User, operator: User) -> None:
    """A user with a scope is an Operator at most, even as an Owner: that one could not manage users."""
    post(as_owner, "user-scope", operator.pk, is_scoped="yes")
    User.objects.filter(pk=operator.pk).update(role=Role.OWNER)
    response = post(as_owner, "user", owner.pk, role="reader", is_active="on", name="Owner", email=owner.email)
    assert "At least one Owner must be able to sign in" in response.content.decode()
    assert User.objects.get(pk=owner.pk).role == Role.OWNER


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"place": "anywhere"}, "Enter a namespace, or choose a subscription or cluster."),
        ({"place": "environment 999999"}, "Select a valid choice"),
        ({"place": "cluster x"}, "Select a valid choice"),
        ({"namespace": "shop"}, "This field is required"),
        ({"place": "anywhere", "namespace": "n" * 257}, "at most 256 characters"),
        ({"place": "anywhere", "namespace": "a\0b"}, "Null characters are not allowed"),
    ],
)
def test_a_part_that_is_not_one_is_rejected(
    data: dict[str, str], message: str, as_owner: Client, operator: User, east: Environment
) -> None:
    response = post(as_owner, "user-part-add", operator.pk, **data)
    assert response.status_code == 422
    assert message in response.content.decode()
    assert not ScopeEntry.objects.exists()


def test_a_part_is_given_once_and_a_group_has_a_name_of_its_own(
    as_owner: Client, operator: User, east: Environment
) -> None:
    post(as_owner, "user-part-add", operator.pk, place=f"environment {east.pk}")
    response = post(as_owner, "user-part-add", operator.pk, place=f"environment {east.pk}")
    assert (response.status_code, "has this part already" in response.content.decode()) == (422, True)
    as_owner.post(reverse("accounts:scopes"), {"name": "Team"})
    response = as_owner.post(reverse("accounts:scopes"), {"name": "team"})
    assert (response.status_code, "Another group has this name" in response.content.decode()) == (422, True)


def test_the_part_of_a_token_is_not_taken_by_the_page_of_scopes(as_owner: Client, operator: User) -> None:
    from tests.unit.accounts.test_scopes import _token

    _token(operator, {"namespace": "shop"})
    assert post(as_owner, "scope-part-remove", ScopeEntry.objects.get().pk).status_code == 404


def test_the_page_of_users_says_what_each_sees(as_owner: Client, operator: User) -> None:
    text = as_owner.get(reverse("accounts:users")).content.decode()
    assert "A scope" not in text
    User.objects.filter(pk=operator.pk).update(is_scoped=True)
    assert "A scope" in as_owner.get(reverse("accounts:users")).content.decode()


def test_a_user_narrows_a_token_of_theirs_to_a_part_of_what_they_see(
    owner: User,
    operator: User,
    east: Environment,
    client_of: Callable[[User], Client],
    api_of: Callable[[User], Client],
) -> None:
    west = Environment.objects.create(provider="aws", account="west", name="west")
    User.objects.filter(pk=operator.pk).update(is_scoped=True)
    ScopeEntry.objects.create(user=operator, environment=east)
    ScopeEntry.objects.create(user=operator, namespace="shop")
    api, browser = api_of(operator), client_of(operator)
    token = ApiToken.objects.get(user=operator)
    url = reverse("accounts:token-scope", args=[token.pk])
    assert "west" not in browser.get(url).content.decode(), "out of scope"
    assert browser.post(url, {"place": f"environment {west.pk}"}).status_code == 422

    def names() -> list[str]:
        return [each["name"] for each in api.get("/api/v1/environments/").json()["results"]]

    assert names() == ["east"]
    assert browser.post(url, {"place": "anywhere", "namespace": "other"}).status_code == 302
    assert names() == []
    assert browser.post(url, {"place": f"environment {east.pk}"}).status_code == 302
    assert names() == ["east"]

    for part in ScopeEntry.objects.filter(token=token):
        assert browser.post(reverse("accounts:token-part-remove", args=[part.pk])).status_code == 302
    assert names() == []
    assert "This token sees nothing" in browser.get(url).content.decode()
    assert AuditEntry.objects.filter(verb="changed scope of", object_type="token").count() == 4


def test_nobody_narrows_or_widens_the_token_of_another(
    operator: User, east: Environment, as_owner: Client, api_of: Callable[[User], Client]
) -> None:
    api_of(operator)
    token = ApiToken.objects.get(user=operator)
    part = ScopeEntry.objects.create(token=token, environment=east)
    url = reverse("accounts:token-scope", args=[token.pk])
    assert as_owner.get(url).status_code == 404
    assert as_owner.post(url, {"place": f"environment {east.pk}"}).status_code == 404
    assert post(as_owner, "token-part-remove", part.pk).status_code == 404
    assert ScopeEntry.objects.filter(pk=part.pk).exists()


def test_an_owner_narrows_the_tokens_of_a_service_account(
    owner: User,
    operator: User,
    admin: User,
    east: Environment,
    as_owner: Client,
    client_of: Callable[[User], Client],
    api_of: Callable[[User], Client],
) -> None:
    Environment.objects.create(provider="aws", account="west", name="west")
    account = create_service_account(owner, name="pipeline", role=Role.OPERATOR)
    api = api_of(account)
    token = ApiToken.objects.get(user=account)
    url = reverse("accounts:token-scope", args=[token.pk])
    page = as_owner.get(reverse("accounts:user", args=[account.pk])).content.decode()
    assert f'href="{url}"' in page
    assert "All that pipeline sees" in as_owner.get(url).content.decode()

    response = as_owner.post(url, {"place": f"environment {east.pk}"}, follow=True)
    assert "sees east of what pipeline sees" in response.content.decode()
    assert [each["name"] for each in api.get("/api/v1/environments/").json()["results"]] == ["east"]

    for other in (operator, admin):
        assert client_of(other).get(url).status_code == 404
        assert client_of(other).post(url, {"place": "anywhere", "namespace": "shop"}).status_code == 404
        part = ScopeEntry.objects.get(token=token)
        assert post(client_of(other), "token-part-remove", part.pk).status_code == 404
    assert post(as_owner, "token-part-remove", part.pk).status_code == 200
    assert api.get("/api/v1/environments/").json()["results"] == []
    ApiToken.objects.filter(pk=token.pk).update(revoked_at=timezone.now())
    assert as_owner.get(url).status_code == 404
