"""Sign-in where only the issuer and the break-glass Owner are let in (docs/sign-in.md#issuer)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.actions.users import change_user
from accounts.errors import LastOwnerError
from accounts.models import AuditEntry, User
from accounts.roles import Role
from tests.conftest import PASSWORD
from tests.unit.accounts.fake_issuer import FakeIssuer

pytestmark = [pytest.mark.services, pytest.mark.django_db, pytest.mark.usefixtures("issuer_settings")]


def _is_signed_in(browser: Client) -> bool:
    return browser.get("/alerts/").status_code == 200


@pytest.fixture
def only_issuer(settings: Any, owner: Any) -> None:
    settings.LOCAL_SIGN_IN = False
    settings.BREAK_GLASS_OWNER = owner.email.upper()


@pytest.mark.usefixtures("only_issuer")
def test_without_local_sign_in_a_right_password_is_answered_like_a_wrong_one(reader: Any) -> None:
    right, wrong = (
        Client().post("/sign-in/", {"username": reader.email, "password": password}).content.decode()
        for password in (PASSWORD, "wrong")
    )
    assert "Email or password is wrong." in right and "Email or password is wrong." in wrong


@pytest.mark.usefixtures("only_issuer")
def test_the_break_glass_owner_signs_in_which_raises_an_alarm(owner: Any) -> None:
    browser = Client()
    browser.post("/sign-in/", {"username": owner.email, "password": PASSWORD})
    assert _is_signed_in(browser)
    assert AuditEntry.objects.get(verb="used the break-glass account").actor == owner
    assert "break-glass" in browser.get("/notifications/").content.decode()


@pytest.mark.usefixtures("only_issuer")
def test_break_glass_is_for_an_owner_only(owner: Any) -> None:
    owner.role = "admin"
    owner.save()
    browser = Client()
    browser.post("/sign-in/", {"username": owner.email, "password": PASSWORD})
    assert not _is_signed_in(browser)


@pytest.mark.usefixtures("only_issuer")
def test_the_break_glass_owner_cannot_be_linked(
    issuer: FakeIssuer, owner: Any, settings: Any, client_of: Callable[..., Client]
) -> None:
    settings.OIDC_LINK_BY_EMAIL = True
    issuer.claims |= {"email": owner.email, "groups": ["boss"]}
    assert issuer.sign_in(Client()).status_code == 403
    browser = client_of(owner)
    page = browser.post("/second-factor/issuer/").content.decode()
    issuer.nonce = page.split("nonce=")[1].split("&")[0].split('"')[0]
    state = page.split("state=")[1].split("&")[0]
    assert browser.get("/sign-in/issuer/callback/", {"state": state, "code": "c"}).status_code == 409


@pytest.mark.usefixtures("only_issuer")
@pytest.mark.parametrize("change", [{"role": Role.READER}, {"is_active": False}, {"email": "renamed@example.com"}])
def test_the_last_owner_who_can_sign_in_stays_though_another_has_a_password(owner: Any, change: dict[str, Any]) -> None:
    User.objects.create_user("second@example.com", "Second", Role.OWNER, PASSWORD)
    with pytest.raises(LastOwnerError):
        change_user(owner, owner.pk, **{"role": Role.OWNER, "is_active": True, **change})
    owner.refresh_from_db()
    assert (owner.role, owner.is_active, owner.email) == (Role.OWNER, True, "owner@example.com")
    assert not AuditEntry.objects.filter(verb="changed").exists()


@pytest.mark.usefixtures("only_issuer")
def test_an_owner_of_the_issuer_counts_as_one_who_can_sign_in(issuer: FakeIssuer, owner: Any) -> None:
    issuer.claims |= {"groups": ["boss"]}
    browser = Client()
    issuer.sign_in(browser)
    assert _is_signed_in(browser)
    change_user(owner, owner.pk, role=Role.READER, is_active=True)
    owner.refresh_from_db()
    assert owner.role == Role.READER
