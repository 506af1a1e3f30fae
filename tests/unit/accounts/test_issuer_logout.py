"""Who signs out at the issuer is signed out here: by a logout token that the issuer signed, and by nothing else."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import jwt
import pytest
from django.test import Client

from accounts.issuer import ALGORITHMS, LOGOUT_EVENT, LOGOUT_SECONDS
from accounts.models import AuditEntry
from accounts.views.issuer import MAX_LOGOUTS
from tests.unit.accounts.fake_issuer import ISSUER, KEY, OTHER_KEY, FakeIssuer

pytestmark = [pytest.mark.services, pytest.mark.django_db, pytest.mark.usefixtures("issuer_settings")]
URL = "/sign-in/issuer/logout/"


def token(key: Any = KEY, algorithm: str = "RS256", **changes: Any) -> str:
    now = time.time()
    claims = {
        "iss": ISSUER,
        "aud": "portal",
        "iat": now,
        "exp": now + 120,
        "jti": "1",
        "sub": "subject-1",
        "events": {LOGOUT_EVENT: {}},
        **changes,
    }
    # A time is given by its distance from now: the parameters of a test are the same in every process.
    moments = {name: now + value.total_seconds() for name, value in claims.items() if isinstance(value, dt.timedelta)}
    present = {name: value for name, value in {**claims, **moments}.items() if value is not None}
    return jwt.encode(present, key, algorithm, headers={"kid": "one"})


def log_out(text: str) -> Any:
    # As the issuer calls: without a cookie, and so without a CSRF token.
    return Client(enforce_csrf_checks=True).post(URL, {"logout_token": text})


def is_signed_in(browser: Client) -> bool:
    return browser.get("/alerts/").status_code == 200


def test_signing_out_at_the_issuer_ends_all_sessions_of_that_user_and_of_nobody_else(issuer: FakeIssuer) -> None:
    first, second, other = Client(), Client(), Client()
    issuer.sign_in(first)
    issuer.sign_in(second)
    issuer.claims |= {"sub": "subject-2", "email": "grace@example.com"}
    issuer.sign_in(other)
    response = log_out(token())

    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")
    assert [is_signed_in(each) for each in (first, second, other)] == [False, False, True]
    assert AuditEntry.objects.get(verb="ended all sessions of").object_name == "ada@example.com"


@pytest.mark.parametrize(
    "changes",
    [
        {"key": OTHER_KEY},
        {"iss": "https://other.example"},
        {"aud": "another client"},
        {"aud": None},
        {"exp": dt.timedelta(hours=-1)},
        {"exp": None},
        {"iat": dt.timedelta(seconds=-LOGOUT_SECONDS - 60)},
        {"iat": dt.timedelta(hours=1)},
        {"iat": None},
        {"jti": None},
        {"sub": None, "sid": "a session there"},
        {"sub": 5},
        {"sub": "subject-1\u202e"},
        {"events": None},
        {"events": {}},
        {"events": {"http://schemas.openid.net/event/other": {}}},
        {"events": {LOGOUT_EVENT: None}},
        {"events": LOGOUT_EVENT},
        {"events": [LOGOUT_EVENT]},
        # An ID token, which a browser or another client may have: the standard has `nonce` tell them apart.
        {"nonce": "n"},
        {"nonce": ""},
    ],
    ids=lambda changes: str({name: str(value)[:30] for name, value in changes.items()}),
)
def test_another_token_ends_nothing(changes: dict[str, Any], issuer: FakeIssuer) -> None:
    browser = Client()
    issuer.sign_in(browser)
    response = log_out(token(**changes))

    assert (response.status_code, response.json()) == (400, {"error": "invalid_request"})
    assert is_signed_in(browser)


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "e30.e30.", "\0", "x" * 10_000])
def test_what_is_no_token_ends_nothing(text: str, issuer: FakeIssuer) -> None:
    assert log_out(text).status_code == 400


def test_an_unsigned_token_and_one_signed_with_the_public_key_as_a_secret_end_nothing(issuer: FakeIssuer) -> None:
    browser = Client()
    issuer.sign_in(browser)
    unsigned = jwt.encode(jwt.decode(token(), options={"verify_signature": False}), "", "none", headers={"kid": "one"})

    assert log_out(unsigned).status_code == 400
    assert log_out(token("a secret of thirty-two characters", "HS256")).status_code == 400
    assert not {"none", "HS256"} & set(ALGORITHMS)
    assert is_signed_in(browser)


def test_a_user_who_was_never_here_is_signed_out_without_an_error(issuer: FakeIssuer) -> None:
    assert log_out(token(sub="somebody else")).status_code == 200


def test_while_the_issuer_is_down_nothing_ends_and_the_call_may_be_repeated(issuer: FakeIssuer) -> None:
    browser = Client()
    issuer.sign_in(browser)
    issuer.is_down = True
    assert log_out(token()).status_code == 400
    issuer.is_down = False
    assert is_signed_in(browser)
    assert log_out(token()).status_code == 200


def test_only_a_post_counts_and_without_an_issuer_there_is_no_such_page(issuer: FakeIssuer, settings: Any) -> None:
    assert Client().get(URL).status_code == 405
    settings.OIDC_ISSUER = ""
    assert log_out(token()).status_code == 404


def test_a_stranger_lets_the_portal_fetch_the_issuer_s_keys_so_often_a_minute(issuer: FakeIssuer) -> None:
    # The minute may end between two of them.
    statuses = [log_out("x").status_code for _ in range(2 * MAX_LOGOUTS + 1)]

    assert set(statuses[:MAX_LOGOUTS]) == {400}
    assert 429 in statuses
