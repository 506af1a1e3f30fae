"""What holds for every way to sign in: known browsers, limits, and who is refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from allauth.account.models import Login
from django.core.cache import cache
from django.db import connection
from django.test import Client

from accounts.actions.sign_in_limits import COOKIE
from accounts.actions.users import create_service_account
from accounts.forms.own_password import MAX_FAILURES
from accounts.models import Session
from accounts.roles import Role
from tests.conftest import PASSWORD
from tests.unit.accounts.factors import add_app, code_of, sign_in
from tests.unit.accounts.fake_issuer import FakeIssuer

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


def _passkey(browser: Client, **form: str) -> Any:
    credential = {"id": "aa", "rawId": "aa", "type": "public-key", "response": {}}
    return browser.post("/sign-in/passkey/", {"credential": json.dumps(credential)} | form, follow=True)


def test_a_browser_is_known_once_it_is_signed_in_and_not_by_the_password_alone(reader: Any) -> None:
    secret = add_app(reader)
    browser, first = sign_in(reader)
    assert COOKIE not in first.cookies
    assert COOKIE in browser.post("/sign-in/second-factor/", {"code": code_of(secret)}).cookies


def test_the_issuer_makes_a_browser_known_too(issuer: FakeIssuer) -> None:
    assert COOKIE in issuer.sign_in(Client()).cookies


def test_a_refused_passkey_says_so_and_keeps_where_the_user_wanted_to_go() -> None:
    page = _passkey(Client(), next="/audit/")
    assert "Email or password is wrong." in page.content.decode()
    assert 'name="next" value="/audit/"' in page.content.decode()


def test_refused_passkeys_are_limited_by_address_and_a_known_browser_passes(reader: Any) -> None:
    known, _ = sign_in(reader)
    known.post("/sign-out/")
    stranger = Client()
    for _ in range(51):
        page = _passkey(stranger)
    assert "Too many failed sign-ins" in page.content.decode()
    assert "Too many failed sign-ins" not in _passkey(known).content.decode()


@pytest.mark.usefixtures("issuer_settings")
@pytest.mark.parametrize("way", ["passkey", "issuer"])
def test_an_address_begins_a_bounded_number_of_sign_ins_each_of_which_stores_a_session(
    way: str, issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.actions.sign_in_limits.MAX_BEGUN", 2)
    answers = [Client().get(f"/sign-in/{way}/", headers={"Accept": "application/json"}) for _ in range(4)]
    assert [each.status_code == 429 for each in answers] == [False, False, True, True]
    assert int(answers[-1]["Retry-After"]) <= 60
    assert Session.objects.count() == 2
    elsewhere = Client(REMOTE_ADDR="192.0.2.7").get(f"/sign-in/{way}/", headers={"Accept": "application/json"})
    assert elsewhere.status_code != 429


@pytest.mark.parametrize("way", ["passkey", "issuer"])
def test_a_service_account_is_refused_whatever_proves_it(owner: Any, rf: Any, way: str) -> None:
    from allauth.account.internal.flows.login import perform_login, record_authentication
    from django.contrib.messages.storage.fallback import FallbackStorage
    from django.contrib.sessions.backends.cache import SessionStore

    account = create_service_account(owner, name="ci", role=Role.READER)
    request = rf.post("/")
    request.session, request.user = SessionStore(), None
    request._messages = FallbackStorage(request)
    record_authentication(request, account, way)
    assert perform_login(request, Login(user=account))["Location"] == "/sign-in/"
    assert "_auth_user_id" not in request.session


def test_guesses_of_a_password_are_counted_together_wherever_it_is_asked_for(
    reader: Any, client_of: Callable[[Any], Client]
) -> None:
    browser = client_of(reader)
    for _ in range(MAX_FAILURES // 2):
        browser.post("/confirm/", {"confirm-password": "wrong"})
        browser.post("/password/", {"old_password": "wrong", "new_password": "x", "again": "x"})
    assert "Too many" in browser.post("/confirm/", {"confirm-password": PASSWORD}).content.decode()


@pytest.mark.django_db(transaction=True)
def test_wrong_codes_at_the_same_time_do_not_slip_by_the_limit(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    add_app(reader)
    browsers = [sign_in(reader)[0] for _ in range(14)]
    together, checked = threading.Barrier(len(browsers)), []

    def guess(browser: Client) -> None:
        try:
            together.wait()
            browser.post("/sign-in/second-factor/", {"code": "000000"})
        finally:
            connection.close()

    monkeypatch.setattr("accounts.forms.second_factor.accept_code", lambda *args: checked.append(args))
    threads = [threading.Thread(target=guess, args=(browser,)) for browser in browsers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(checked) == 10
