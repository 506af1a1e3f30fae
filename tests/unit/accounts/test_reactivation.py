"""What ended with an account does not come back with it, nor does what was stored while it was deactivated."""

from __future__ import annotations

import datetime as dt
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts import tokens
from accounts.actions.links import create_requested_link
from accounts.actions.session_store import SessionStore
from accounts.actions.tokens import create_token
from accounts.actions.users import create_service_account
from accounts.models import ApiToken, OneTimeLink, Session, User
from accounts.roles import Role
from accounts.tokens import TokenScope
from tests.conftest import PASSWORD
from tests.unit.accounts.fake_issuer import FakeIssuer
from tests.unit.accounts.soft_passkey import SoftPasskey

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _portal(settings: Any) -> None:
    cache.clear()
    settings.PUBLIC_URL = "http://localhost"


def switch(user: Any, *, on: bool) -> None:
    User.objects.filter(pk=user.pk).update(is_active=on)


def is_signed_in(browser: Client) -> bool:
    return browser.get("/alerts/").status_code == 200


@pytest.fixture
def ended_in_between(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Deactivate a user after their sign-in has looked at the account, and before it stores the session."""
    real = hmac.compare_digest

    def prepare(user: Any) -> None:
        def compared(*both: Any) -> bool:
            switch(user, on=False)
            return bool(real(*both))

        monkeypatch.setattr("accounts.adapters.hmac.compare_digest", compared)

    return prepare


def test_a_sign_in_that_the_deactivation_overtook_is_worth_nothing_once_the_account_is_active_again(
    reader: Any, ended_in_between: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended_in_between(reader)
    browser = Client()
    browser.post("/sign-in/", {"username": reader.email, "password": PASSWORD})
    monkeypatch.undo()
    assert Session.objects.filter(user=reader).exists(), "the race has happened"
    assert not is_signed_in(browser)
    switch(reader, on=True)
    assert not is_signed_in(browser)


def test_the_same_holds_by_passkey_and_by_the_issuer(
    reader: Any,
    client_of: Callable[[Any], Client],
    issuer: FakeIssuer,
    ended_in_between: Callable[[Any], None],
) -> None:
    key = SoftPasskey()
    key.add_to(client_of(reader))
    key.count = 2
    issuer.sign_in(Client())
    linked = User.objects.get(email="ada@example.com")
    for user, sign_in in ((reader, key.sign_in), (linked, issuer.sign_in)):
        ended_in_between(user)
        browser = Client()
        sign_in(browser)
        switch(user, on=True)
        assert not is_signed_in(browser)


def test_links_and_tokens_that_were_stored_meanwhile_end_too(reader: Any) -> None:
    switch(reader, on=False)
    create_requested_link(reader)
    new = tokens.new_token(tokens.PERSON)
    expires_at = timezone.now() + dt.timedelta(days=1)
    ApiToken.objects.create(user=reader, name="t", prefix=new.prefix, digest=new.digest, expires_at=expires_at)
    switch(reader, on=True)
    assert not OneTimeLink.objects.exists()
    assert not ApiToken.objects.filter(revoked_at=None).exists()


def test_what_others_have_and_what_an_unchanged_account_has_stays(
    reader: Any, operator: Any, client_of: Callable[[Any], Client]
) -> None:
    browsers = [client_of(reader), client_of(operator)]
    create_requested_link(reader)
    switch(reader, on=True)
    User.objects.filter(pk=reader.pk).update(role="operator")
    assert [is_signed_in(each) for each in browsers] == [True, True]
    assert OneTimeLink.objects.count() == 1


def test_a_sign_in_that_waits_for_its_second_step_meanwhile_begins_again(
    reader: Any, client_of: Callable[[Any], Client]
) -> None:
    """It has no session of the user that could end."""
    key = SoftPasskey()
    key.add_to(client_of(reader), passwordless=False)
    browser = Client()
    browser.post("/sign-in/", {"username": reader.email, "password": PASSWORD})
    options = json.loads(browser.get("/sign-in/second-factor/").context["passkey_options"])
    switch(reader, on=False)
    switch(reader, on=True)
    key.count = 2
    signed = key.signed(options["publicKey"]["challenge"])
    assert browser.post("/sign-in/second-factor/", {"credential": signed})["Location"] == "/sign-in/"
    assert not is_signed_in(browser)


def test_a_browser_stays_known_and_its_cookie_signs_nobody_in(reader: Any) -> None:
    browser = Client()
    browser.post("/sign-in/", {"username": reader.email, "password": PASSWORD})
    switch(reader, on=False)
    switch(reader, on=True)
    assert not is_signed_in(browser)
    assert SessionStore(browser.cookies["sessionid"].value).load() == {}
    assert browser.post("/sign-in/", {"username": reader.email, "password": PASSWORD}).status_code == 302


def test_an_owner_sees_which_tokens_of_service_accounts_somebody_who_leaves_has_seen(
    owner: Any, client_of: Callable[[Any], Client]
) -> None:
    leaver = User.objects.create_user("leaver@example.com", "Leaver", Role.OWNER, PASSWORD)
    account = create_service_account(owner, name="ci", role=Role.READER)
    expires_at = timezone.now() + dt.timedelta(days=1)
    for actor, name in ((leaver, "theirs"), (owner, "another's"), (leaver, "revoked")):
        create_token(actor, name, expires_at, scopes=[TokenScope.READ], user=account)
    ApiToken.objects.filter(name="revoked").update(revoked_at=timezone.now())
    switch(leaver, on=False)
    page = client_of(owner).get(f"/users/{leaver.pk}/")
    assert [token.name for token in page.context["known_tokens"]] == ["theirs"]
    assert f"/users/{account.pk}/" in page.content.decode()
