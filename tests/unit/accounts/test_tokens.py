"""API tokens: scopes, expiry, rate limits, and how they end."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import tokens
from accounts.actions import users
from accounts.actions.tokens import create_token, revoke_tokens_of
from accounts.errors import TokenRefused
from accounts.models import ApiToken, AuditEntry, User
from accounts.models.tokens import LOWEST_ROLE, scopes_of_role
from accounts.roles import Role
from accounts.tokens import TokenScope

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]
CALL = "/api/v1/policy/versions/"


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


def _token(user: User, /, *scopes: TokenScope, days: int = 30, **options: Any) -> str:
    """A token that the user creates with these scopes, or all of the role."""
    chosen = scopes or scopes_of_role(Role(user.role))
    return create_token(user, "ci", timezone.now() + dt.timedelta(days=days), scopes=chosen, **options)


def _get(token: str, **options: Any) -> int:
    return int(Client(headers={"Authorization": f"Bearer {token}"}).get(CALL, **options).status_code)


def test_a_token_acts_as_its_user(reader: Any) -> None:
    assert _get(_token(reader)) == 200


def test_the_secret_is_not_stored(reader: Any) -> None:
    text = _token(reader)
    row = ApiToken.objects.get()
    assert text.encode() not in bytes(row.digest) and tokens.matches(text, row.digest)


@pytest.mark.parametrize("spoil", [lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"), lambda text: "dwp_x_y"])
def test_a_wrong_token_is_rejected(reader: Any, spoil: Callable[[str], str]) -> None:
    assert _get(spoil(_token(reader))) == 401


def test_an_expired_token_is_rejected(reader: Any) -> None:
    text = _token(reader)
    ApiToken.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    assert _get(text) == 401


@pytest.mark.parametrize("days", [-1, 0, 367, 100_000])
def test_a_token_must_expire_within_a_year(reader: Any, days: int) -> None:
    with pytest.raises(TokenRefused, match="within one year"):
        _token(reader, days=days)


def test_nobody_creates_a_token_of_another_person(owner: Any, reader: Any) -> None:
    with pytest.raises(TokenRefused, match="their own account"):
        _token(owner, TokenScope.READ, user=reader)


def test_only_an_owner_creates_a_token_of_a_service_account(owner: Any, admin: Any) -> None:
    account = users.create_service_account(owner, name="robot", role=Role.READER)
    with pytest.raises(TokenRefused, match="their own account"):
        _token(admin, TokenScope.READ, user=account)
    assert _get(_token(owner, TokenScope.READ, user=account)) == 200


def test_a_service_account_s_token_has_no_scope_above_its_role_whoever_creates_it(owner: Any) -> None:
    account = users.create_service_account(owner, name="robot", role=Role.READER)
    with pytest.raises(TokenRefused, match="does not have the scope"):
        _token(owner, TokenScope.ADMIN, user=account)


def test_revoking_all_tokens_of_a_user_ends_no_other_s(owner: Any, reader: Any, operator: Any) -> None:
    theirs, others = _token(reader), _token(operator)
    assert revoke_tokens_of(owner, reader) == 1
    assert (_get(theirs), _get(others)) == (401, 200)
    assert revoke_tokens_of(owner, reader) == 0


def test_a_token_without_an_expiry_cannot_be_stored(reader: Any) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ApiToken.objects.create(user=reader, name="x", prefix="x", digest=b"x")


@pytest.mark.parametrize("role", Role)
def test_a_token_cannot_get_a_scope_that_its_user_s_role_lacks(role: Role, client_of: Callable[[Any], Client]) -> None:
    user = User.objects.create_user("u@example.com", "U", role)
    for scope in TokenScope:
        form = {"name": "ci", "scopes": [scope.value], "days": "30"}
        created = client_of(user).post(reverse("accounts:tokens"), form).status_code
        if role.includes(LOWEST_ROLE[scope]):
            assert created == 200
        else:
            assert created == 422
            with pytest.raises(TokenRefused, match=scope.value):
                _token(user, scope)
    assert ApiToken.objects.count() == len(scopes_of_role(role))


def test_a_token_needs_the_scope_of_the_call(admin: Any) -> None:
    caller = Client(headers={"Authorization": f"Bearer {_token(admin, TokenScope.READ, TokenScope.FLEET)}"})
    assert caller.get(CALL).status_code == 200
    rejected = caller.post(CALL, {}, content_type="application/json")
    assert (rejected.status_code, rejected.json()["code"]) == (403, "forbidden")
    assert rejected.json()["message"] == "This requires a token with the scope policy."


def test_a_token_that_only_changes_cannot_read(operator: Any) -> None:
    assert _get(_token(operator, TokenScope.TRIAGE)) == 403


def test_a_token_loses_with_its_user_s_role_what_the_role_lost(admin: Any, owner: Any) -> None:
    text = _token(admin)
    users.change_user(owner, admin.pk, role=Role.READER, is_active=True)
    caller = Client(headers={"Authorization": f"Bearer {text}"})
    assert caller.post(CALL, {}, content_type="application/json").status_code == 403
    assert caller.get(CALL).status_code == 200


def test_a_token_does_not_grow_with_its_user_s_role(reader: Any, owner: Any) -> None:
    text = _token(reader)
    users.change_user(owner, reader.pk, role=Role.ADMIN, is_active=True)
    caller = Client(headers={"Authorization": f"Bearer {text}"})
    assert caller.post(CALL, {}, content_type="application/json").status_code == 403


def test_code_that_looks_at_the_role_sees_what_the_scopes_allow(admin: Any) -> None:
    _token(admin, TokenScope.READ, TokenScope.PROPOSE)
    user = ApiToken.objects.get().limited_user()
    assert user.can_triage and not user.can_edit_policy
    assert User.objects.get(pk=admin.pk).can_edit_policy


@pytest.mark.parametrize("way", ["action", "save", "update"])
def test_tokens_end_with_deactivation_in_any_way_and_do_not_revive(reader: Any, owner: Any, way: str) -> None:
    text = _token(reader)
    if way == "action":
        users.change_user(owner, reader.pk, role=Role.READER, is_active=False)
    elif way == "save":
        reader.is_active = False
        reader.save()
    else:
        User.objects.filter(pk=reader.pk).update(is_active=False)
    assert _get(text) == 401
    users.change_user(owner, reader.pk, role=Role.READER, is_active=True)
    assert _get(text) == 401
    assert _get(_token(reader)) == 200


def test_a_revoked_token_cannot_be_restored_in_the_database(reader: Any) -> None:
    _token(reader)
    ApiToken.objects.update(revoked_at=timezone.now())
    with pytest.raises(IntegrityError, match="stays revoked"), transaction.atomic():
        ApiToken.objects.update(revoked_at=None)


def test_a_deactivated_user_gets_no_token_even_at_the_same_time(reader: Any, owner: Any) -> None:
    """Whichever comes first, no token is left: creation waits for the deactivation and then sees it."""
    refused = threading.Event()

    def create() -> None:
        try:
            _token(reader)
        except TokenRefused:
            refused.set()
        finally:
            connection.close()

    with transaction.atomic():
        User.objects.filter(pk=reader.pk).update(is_active=False)
        late = threading.Thread(target=create)
        late.start()
        late.join(0.3)
        assert late.is_alive()
    late.join()
    assert refused.is_set() and not ApiToken.objects.filter(revoked_at=None).exists()


def test_a_password_change_revokes_tokens_if_asked(reader: Any, client_of: Callable[[Any], Client]) -> None:
    reader.set_password("an old passphrase")
    reader.save()
    text = _token(reader)
    form = {"old_password": "an old passphrase", "new_password": "first passphrase", "again": "first passphrase"}
    assert client_of(reader).post(reverse("accounts:password"), form).status_code == 302
    assert _get(text) == 200
    reader.refresh_from_db()
    form = {"old_password": "first passphrase", "new_password": "second passphrase", "again": "second passphrase"}
    assert client_of(reader).post(reverse("accounts:password"), form | {"revoke_tokens": "on"}).status_code == 302
    assert _get(text) == 401
    assert AuditEntry.objects.filter(verb="revoked all tokens of", object_id=reader.pk).count() == 1


def test_a_revoked_token_is_rejected_and_another_user_s_cannot_be_revoked(
    reader: Any, operator: Any, client_of: Callable[[Any], Client]
) -> None:
    text = _token(reader)
    url = reverse("accounts:token-revoke", args=[ApiToken.objects.get().pk])
    assert client_of(operator).post(url).status_code == 404
    assert _get(text) == 200
    assert client_of(reader).post(url).status_code == 302
    assert _get(text) == 401


def test_the_last_use_is_recorded_with_its_address(reader: Any) -> None:
    text = _token(reader)
    _get(text, REMOTE_ADDR="192.0.2.7")
    row = ApiToken.objects.get()
    assert row.last_used_at and row.last_used_address == "192.0.2.7"


@pytest.mark.parametrize("entry", ["", "unknown", "198.51.100.7:4711", "[2001:db8::1]:80", "a" * 400, "\xff"])
def test_a_strange_forwarded_address_stops_no_token(reader: Any, settings: Any, entry: str) -> None:
    settings.TRUSTED_PROXIES = 1
    assert _get(_token(reader), HTTP_X_FORWARDED_FOR=entry) == 200


def test_beyond_its_rate_a_token_gets_429_and_others_go_on(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_800_000_015.0)  # no minute may begin in between
    bounded, other = _token(reader, requests_per_minute=3), _token(reader)
    assert [_get(bounded) for _ in range(3)] == [200, 200, 200]
    response = Client(headers={"Authorization": f"Bearer {bounded}"}).get(CALL)
    assert (response.status_code, response.json()["code"]) == (429, "too_many_requests")
    assert response["Retry-After"] == "45"
    assert _get(other) == 200
    monkeypatch.setattr("time.time", lambda: 1_800_000_060.0)
    assert _get(bounded) == 200


def test_a_token_opens_no_page_so_a_stolen_one_cannot_create_others(owner: Any) -> None:
    stolen = Client(headers={"Authorization": f"Bearer {_token(owner)}"})
    form = {"name": "mine", "scopes": ["read"], "days": "30"}
    assert stolen.post(reverse("accounts:tokens"), form).status_code == 302
    assert ApiToken.objects.count() == 1


def test_a_session_that_ends_while_it_asks_for_a_token_gets_none(
    reader: Any, client_of: Callable[[Any], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed password ends it, and on request all tokens; this one would have come after them."""

    def change_meanwhile(*args: Any, **options: Any) -> str:
        users.change_password(reader, "another-correct-horse", session=None, revoke_tokens=True)
        return create_token(*args, **options)

    monkeypatch.setattr("accounts.views.tokens.create_token", change_meanwhile)
    form = {"name": "mine", "scopes": ["read"], "days": "30", "requests_per_minute": "600"}
    assert client_of(reader).post(reverse("accounts:tokens"), form).status_code == 400
    assert not ApiToken.objects.exists()


def test_a_request_with_a_bad_token_does_not_fall_back_on_the_session(
    reader: Any, client_of: Callable[[Any], Client]
) -> None:
    browser = client_of(reader)
    assert browser.get(CALL).status_code == 200
    for text in ("dwp_x_y", "nonsense", "", "dws_x_y"):
        assert browser.get(CALL, headers={"Authorization": f"Bearer {text}"}).status_code == 401
