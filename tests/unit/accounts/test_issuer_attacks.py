"""What else an issuer, or somebody before it, may send: other keys, issuers, times, addresses and groups."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from allauth.socialaccount.models import SocialAccount
from django.db import connection
from django.test import Client

from accounts.actions.issuer_sign_in import settle_identity
from accounts.issuer import Identity
from accounts.models import AuditEntry, User
from accounts.reauthentication import KEY as AUTHENTICATED_AT
from accounts.roles import Role
from tests.conftest import PASSWORD
from tests.unit.accounts import fake_issuer
from tests.unit.accounts.fake_issuer import ISSUER, KEY, OTHER_KEY, FakeIssuer
from tests.unit.accounts.soft_passkey import SoftPasskey

pytestmark = [pytest.mark.services, pytest.mark.django_db, pytest.mark.usefixtures("issuer_settings")]
CALLBACK = "/sign-in/issuer/callback/"


def is_signed_in(browser: Client) -> bool:
    return browser.get("/alerts/").status_code == 200


def jwk(key: Any, name: str | None, **more: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    return found | ({"kid": name} if name else {}) | more


@pytest.fixture
def keys(issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The keys that the issuer shows."""
    shown = [jwk(KEY, "one")]
    real = FakeIssuer.get

    def get(self: FakeIssuer, url: str, **options: Any) -> Any:
        return fake_issuer._response({"keys": shown}) if url.endswith("/jwks") else real(self, url, **options)

    monkeypatch.setattr(FakeIssuer, "get", get)
    return shown


# ---- Keys


def test_a_token_signed_by_a_key_that_came_since_the_last_sign_in_is_accepted_and_one_of_a_removed_key_is_not(
    issuer: FakeIssuer, keys: list[dict[str, Any]]
) -> None:
    assert issuer.sign_in(Client()).status_code == 302
    keys[:] = [jwk(OTHER_KEY, "one"), jwk(KEY, "old")]
    assert issuer.sign_in(Client()).status_code == 503
    issuer.signing_key = OTHER_KEY
    assert issuer.sign_in(Client()).status_code == 302
    keys[:] = [jwk(OTHER_KEY, "two")]
    assert issuer.sign_in(Client()).status_code == 503


def test_a_key_for_encryption_signs_nothing_and_hides_no_key_that_does(
    issuer: FakeIssuer, keys: list[dict[str, Any]]
) -> None:
    keys[:] = [jwk(OTHER_KEY, "one", use="enc"), jwk(KEY, "one", use="sig")]
    assert issuer.sign_in(Client()).status_code == 302
    issuer.signing_key = OTHER_KEY
    assert issuer.sign_in(Client()).status_code == 503


@pytest.mark.parametrize(
    "shown",
    [
        [],
        [{}],
        [{"kty": "oct", "kid": "one", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}],
        [{"kty": "RSA", "kid": "one", "n": "AQ", "e": "AQ"}],
        [{"kty": "none", "kid": "one"}],
        "keys",
        [None],
    ],
)
def test_keys_that_are_none_sign_nobody_in(issuer: FakeIssuer, keys: list[dict[str, Any]], shown: Any) -> None:
    keys[:] = shown
    assert issuer.sign_in(Client()).status_code == 503
    assert not User.objects.exists()


# ---- Times


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"iat": 30}, 302),
        ({"nbf": 30}, 302),
        ({"exp": -30}, 302),
        ({"iat": 300}, 503),
        ({"nbf": 300}, 503),
        ({"exp": -300}, 503),
    ],
)
def test_clocks_may_differ_by_a_minute(issuer: FakeIssuer, claims: dict[str, int], status: int) -> None:
    issuer.token_claims = {name: time.time() + seconds for name, seconds in claims.items()}
    assert issuer.sign_in(Client()).status_code == status


def old(browser: Client) -> Client:
    """The browser, whose user signed in a while ago."""
    session = browser.session
    session[AUTHENTICATED_AT] = 0
    session.save()
    return browser


def confirm(issuer: FakeIssuer, browser: Client) -> int:
    """The status of a confirmation at the issuer."""
    state = issuer.begin(browser, "/confirm/issuer/")["state"]
    status: int = browser.get(CALLBACK, {"state": state, "code": "c"}).status_code
    return status


@pytest.mark.parametrize("at", [1_000 * 1_800_000_000, 2**53, float("inf"), float("nan"), -1, 0])
def test_a_sign_in_there_at_an_impossible_time_confirms_nothing(issuer: FakeIssuer, at: float) -> None:
    browser = Client()
    issuer.sign_in(browser)
    issuer.token_claims["auth_time"] = at
    assert confirm(issuer, old(browser)) in {403, 503}
    assert browser.post("/tokens/", {}).status_code == 403


# ---- Issuers


def test_a_sign_in_that_was_begun_at_another_issuer_ends_with_the_change_of_the_setting(
    issuer: FakeIssuer, settings: Any
) -> None:
    browser = Client()
    state = issuer.begin(browser)["state"]
    settings.OIDC_ISSUER = "https://other.example"
    issuer.posted = {}
    assert browser.get(CALLBACK, {"state": state, "code": "c"}).status_code == 503
    assert not issuer.posted, "the code of one issuer was sent to another"


@pytest.mark.parametrize("named", [{"iss": "https://evil.example"}, {"iss": ""}, {"iss": ISSUER + "/"}])
def test_a_callback_that_names_another_issuer_is_refused(issuer: FakeIssuer, named: dict[str, str]) -> None:
    browser = Client()
    state = issuer.begin(browser)["state"]
    assert browser.get(CALLBACK, {"state": state, "code": "c"} | named).status_code == 503
    assert not issuer.posted


def test_a_callback_without_a_name_is_refused_where_the_issuer_says_that_it_names_itself(issuer: FakeIssuer) -> None:
    issuer.configuration = {"authorization_response_iss_parameter_supported": True}
    for named, status in (({}, 503), ({"iss": ISSUER}, 302)):
        browser = Client()
        state = issuer.begin(browser)["state"]
        assert browser.get(CALLBACK, {"state": state, "code": "c"} | named).status_code == status


def test_a_subject_of_another_issuer_is_another_user(issuer: FakeIssuer, settings: Any) -> None:
    issuer.sign_in(Client())
    SocialAccount.objects.update(provider="https://before.example")
    browser = Client()
    response = issuer.sign_in(browser)
    assert (response.status_code, "exists" in response.content.decode()) == (403, True)
    assert not is_signed_in(browser)


def test_an_issuer_with_a_path_is_asked_below_that_path(
    issuer: FakeIssuer, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = FakeIssuer.get

    def get(self: FakeIssuer, url: str, **options: Any) -> Any:
        asked.append(url)
        return real(self, url.replace("/realms/main", ""), **options)

    monkeypatch.setattr(FakeIssuer, "get", get)
    settings.OIDC_ISSUER = f"{ISSUER}/realms/main"
    assert Client().get("/sign-in/issuer/").status_code == 503, "it names itself otherwise"
    issuer.configuration = {"issuer": settings.OIDC_ISSUER}
    issuer.token_claims = {"iss": settings.OIDC_ISSUER}
    assert issuer.sign_in(Client()).status_code == 302
    assert asked[0] == f"{ISSUER}/realms/main/.well-known/openid-configuration"
    issuer.token_claims = {"iss": ISSUER}
    assert issuer.sign_in(Client()).status_code == 503, "a realm beside it"


# ---- The code


def test_of_two_callbacks_with_one_state_at_once_the_code_is_sent_with_the_same_proof_and_one_user_comes_in(
    issuer: FakeIssuer,
) -> None:
    browser = Client()
    state = issuer.begin(browser)["state"]
    query = {"state": state, "code": "c"}
    assert browser.get(CALLBACK, query).status_code == 302
    replayed = Client()
    replayed.cookies["sessionid"] = browser.cookies["sessionid"].value
    assert replayed.get(CALLBACK, query).status_code == 503
    assert is_signed_in(browser)


# ---- Addresses


def test_an_address_that_changes_there_or_passes_to_somebody_else_moves_no_account(issuer: FakeIssuer) -> None:
    issuer.sign_in(Client())
    ada = User.objects.get()
    issuer.claims |= {"email": "countess@example.com"}
    issuer.sign_in(Client())
    assert User.objects.get() == ada
    issuer.claims |= {"sub": "subject-2", "email": "Ada@Example.com"}
    browser = Client()
    assert issuer.sign_in(browser).status_code == 403
    assert not is_signed_in(browser)


def test_an_address_that_is_no_longer_verified_there_keeps_a_linked_user_out_of_nothing(issuer: FakeIssuer) -> None:
    issuer.sign_in(Client())
    issuer.claims["email_verified"] = False
    browser = Client()
    issuer.sign_in(browser)
    assert is_signed_in(browser)


@pytest.mark.parametrize("role", ["boss", "dev"])
def test_nobody_becomes_the_break_glass_owner_by_the_address_alone(
    issuer: FakeIssuer, settings: Any, owner: Any, role: str
) -> None:
    settings.LOCAL_SIGN_IN, settings.BREAK_GLASS_OWNER = False, "Glass@example.com"
    issuer.claims |= {"email": "glass@example.com", "groups": [role]}
    browser = Client()
    response = issuer.sign_in(browser)
    assert (response.status_code, "break-glass" in response.content.decode()) == (403, True)
    assert not User.objects.filter(email="glass@example.com").exists()


def test_where_local_sign_in_is_off_no_factor_of_a_linked_user_comes_in_past_the_issuer(
    issuer: FakeIssuer, settings: Any, client_of: Any
) -> None:
    settings.PUBLIC_URL = "http://localhost"
    issuer.sign_in(Client())
    ada = User.objects.get()
    key = SoftPasskey()
    key.add_to(client_of(ada))
    ada.set_password(PASSWORD)
    ada.save()
    for local in (True, False):
        settings.LOCAL_SIGN_IN = local
        key.count += 1
        # Another user of the issuer, whose second step waits, is no cover for it.
        browser = Client()
        issuer.claims |= {"sub": "subject-2", "email": "eve@example.com"}
        issuer.begin(browser)
        key.sign_in(browser)
        browser.post("/sign-in/", {"username": ada.email, "password": PASSWORD})
        assert not is_signed_in(browser)


# ---- Groups


def test_a_confirmation_is_a_sign_in_whose_groups_count(issuer: FakeIssuer) -> None:
    browser = Client()
    issuer.claims["groups"] = ["boss"]
    issuer.sign_in(browser)
    User.objects.create_user("other@example.com", "Other", Role.OWNER, PASSWORD)
    issuer.claims["groups"] = ["dev"]
    issuer.token_claims["auth_time"] = time.time()
    assert confirm(issuer, old(browser)) == 200
    assert User.objects.get(email="ada@example.com").role == "reader"
    assert browser.get("/users/").status_code == 403


def test_whose_groups_are_gone_confirms_nothing_and_is_signed_out(issuer: FakeIssuer) -> None:
    browser = Client()
    issuer.sign_in(browser)
    issuer.claims["groups"] = []
    issuer.token_claims["auth_time"] = time.time()
    assert confirm(issuer, old(browser)) == 403
    assert not User.objects.get(email="ada@example.com").is_active
    assert not is_signed_in(browser)
    assert not AuditEntry.objects.filter(verb="confirmed identity of").exists()


def test_whose_groups_are_gone_when_they_sign_in_again_in_their_session_is_told_so(issuer: FakeIssuer) -> None:
    browser = Client()
    issuer.sign_in(browser)
    issuer.claims["groups"] = []
    response = issuer.sign_in(browser)
    assert (response.status_code, "no role" in response.content.decode()) == (403, True)
    assert not is_signed_in(browser)


def test_a_confirmation_by_a_group_that_gives_the_last_owner_less_confirms_nothing(issuer: FakeIssuer) -> None:
    browser = Client()
    issuer.claims["groups"] = ["boss"]
    issuer.sign_in(browser)
    issuer.claims["groups"] = ["dev"]
    issuer.token_claims["auth_time"] = time.time()
    assert confirm(issuer, old(browser)) == 403
    assert is_signed_in(browser), "the last Owner keeps the session that is left"
    assert browser.post("/tokens/", {}).status_code == 403


@pytest.mark.parametrize(
    "groups", ['["soc"]', "soc,boss", {"0": "soc"}, [["soc"]], [{"name": "soc"}], True, 0, "\ud800", ["soc\n"]]
)
def test_groups_in_another_form_give_no_role(issuer: FakeIssuer, groups: Any) -> None:
    issuer.claims["groups"] = groups
    assert issuer.sign_in(Client()).status_code in {403, 503}
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "overage",
    [
        {"_claim_names": {"groups": "src1"}},
        {"_claim_names": ["groups"]},
        {"_claim_names": "groups"},
        {"_claim_names": 7},
        {"hasgroups": "true"},
    ],
)
@pytest.mark.parametrize("groups", [None, ["soc"], []])
def test_whatever_else_is_sent_beside_the_mark_of_too_many_groups_nobody_loses_the_account(
    issuer: FakeIssuer, overage: dict[str, Any], groups: Any
) -> None:
    issuer.sign_in(Client())
    issuer.claims |= {"groups": groups} | overage
    assert issuer.sign_in(Client()).status_code == 503
    assert User.objects.get().is_active


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("has_owner", [True, False])
def test_of_first_sign_ins_of_one_user_at_once_each_comes_in_as_the_same_user(
    issuer: FakeIssuer, request: pytest.FixtureRequest, has_owner: bool
) -> None:
    if has_owner:
        request.getfixturevalue("owner")
    identity = Identity(ISSUER, "subject-1", "ada@example.com", "Ada", ("soc",), None)
    together = threading.Barrier(4)

    def settle(_: int) -> Any:
        try:
            together.wait()
            return settle_identity(identity).user
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(settle, range(4)))
    assert found == [User.objects.get(email="ada@example.com")] * 4
