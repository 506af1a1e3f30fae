"""Sign-in through an OpenID Connect issuer: who comes in, as what, and what is refused (docs/sign-in.md#issuer)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.test import Client

from accounts.actions.users import change_user
from accounts.models import AuditEntry, ScopeGroup, User
from accounts.reauthentication import KEY as AUTHENTICATED_AT
from accounts.roles import Role
from tests.conftest import PASSWORD
from tests.unit.accounts.factors import add_app, code_of
from tests.unit.accounts.fake_issuer import ISSUER, OTHER_KEY, FakeIssuer

pytestmark = [pytest.mark.services, pytest.mark.django_db, pytest.mark.usefixtures("issuer_settings")]


def _is_signed_in(browser: Client) -> bool:
    return browser.get("/alerts/").status_code == 200


def test_the_first_sign_in_adds_the_user_with_the_role_of_their_groups(issuer: FakeIssuer) -> None:
    browser = Client()
    response = issuer.sign_in(browser, "/sign-in/issuer/?next=/alerts/")
    assert response["Location"] == "/alerts/"
    assert _is_signed_in(browser)
    user = User.objects.get()
    assert (user.email, user.name, user.role, user.has_usable_password()) == (
        "ada@example.com",
        "Ada",
        "operator",
        False,
    )
    facts = AuditEntry.objects.get(verb="was identified by the issuer").after
    assert facts == {"issuer": ISSUER, "subject": "subject-1", "groups": ["soc"]}
    assert AuditEntry.objects.get(verb="signed in").after == {"with": ["issuer"]}


def test_nothing_of_the_issuer_s_tokens_is_stored(issuer: FakeIssuer) -> None:
    browser = Client()
    issuer.sign_in(browser)
    assert not SocialToken.objects.exists() and not SocialApp.objects.exists() and not EmailAddress.objects.exists()
    assert SocialAccount.objects.get().extra_data == {}
    assert "access-secret" not in str(dict(browser.session))


def test_the_code_is_exchanged_with_pkce_and_the_callback_is_under_the_public_url(
    issuer: FakeIssuer, settings: Any
) -> None:
    settings.PUBLIC_URL = "https://drift.example"
    browser = Client(headers={"Host": "localhost"})
    parameters = issuer.begin(browser)
    assert parameters["code_challenge_method"] == "S256"
    assert parameters["redirect_uri"] == "https://drift.example/sign-in/issuer/callback/"
    browser.get("/sign-in/issuer/callback/", {"state": parameters["state"], "code": "code-1"})
    assert len(issuer.posted["code_verifier"]) >= 43


@pytest.mark.parametrize(
    ("groups", "role"),
    [(["soc", "boss"], "owner"), (["cn=sec,dc=example"], "admin"), (["dev", "other"], "reader"), ("dev", "reader")],
)
def test_the_highest_role_of_the_groups_counts(issuer: FakeIssuer, groups: Any, role: str) -> None:
    issuer.claims["groups"] = groups
    issuer.sign_in(Client())
    assert User.objects.get().role == role


def test_groups_may_be_inside_another_claim(issuer: FakeIssuer, settings: Any) -> None:
    settings.OIDC_GROUPS_CLAIM = "realm_access.roles"
    issuer.claims["realm_access"] = {"roles": ["dev"]}
    issuer.sign_in(Client())
    assert User.objects.get().role == "reader"


@pytest.mark.parametrize(
    "groups", [None, [], ["SOC"], ["soc "], [1, None, {"soc": 1}], {"soc": "operator"}, 7, [["soc"]]]
)
def test_without_a_mapped_group_nobody_comes_in(issuer: FakeIssuer, groups: Any) -> None:
    issuer.claims["groups"] = groups
    browser = Client()
    response = issuer.sign_in(browser)
    assert response.status_code in {403, 503}
    assert not User.objects.exists()
    assert not _is_signed_in(browser)


def test_each_sign_in_gives_the_role_of_the_groups_of_that_moment(issuer: FakeIssuer, owner: Any) -> None:
    issuer.sign_in(Client())
    issuer.claims["groups"] = ["dev"]
    issuer.sign_in(Client())
    assert User.objects.get(email="ada@example.com").role == "reader"
    entry = AuditEntry.objects.filter(verb="changed").get()
    assert (entry.before["role"], entry.after["role"]) == ("operator", "reader")


def test_whose_groups_are_gone_loses_sessions_and_tokens_and_gets_the_account_back_with_a_group(
    issuer: FakeIssuer, api_of: Callable[[Any], Client]
) -> None:
    browser = Client()
    issuer.sign_in(browser)
    user = User.objects.get()
    api = api_of(user)
    assert api.get("/api/v1/alerts/").status_code == 200
    issuer.claims["groups"] = ["other"]
    response = issuer.sign_in(Client())
    assert (response.status_code, "no role" in response.content.decode()) == (403, True)
    assert not _is_signed_in(browser)
    assert api.get("/api/v1/alerts/").status_code == 401
    issuer.claims["groups"] = ["soc"]
    again = Client()
    issuer.sign_in(again)
    assert _is_signed_in(again)
    assert api.get("/api/v1/alerts/").status_code == 401


def test_a_user_whom_an_owner_deactivated_does_not_come_back_by_the_issuer(issuer: FakeIssuer) -> None:
    issuer.sign_in(Client())
    User.objects.update(is_active=False)
    browser = Client()
    assert issuer.sign_in(browser).status_code == 403
    assert not _is_signed_in(browser)


def test_whom_an_owner_deactivated_after_the_groups_did_stays_so(issuer: FakeIssuer, owner: Any) -> None:
    issuer.sign_in(Client())
    user = User.objects.get(email="ada@example.com")
    issuer.claims["groups"] = []
    issuer.sign_in(Client())
    for is_active in (True, False):
        change_user(owner, user.pk, role=Role.OPERATOR, is_active=is_active)
    issuer.claims["groups"] = ["soc"]
    assert issuer.sign_in(Client()).status_code == 403


def test_the_last_owner_keeps_the_role_but_does_not_come_in_as_less(issuer: FakeIssuer) -> None:
    issuer.claims["groups"] = ["boss"]
    issuer.sign_in(Client())
    for groups in (["dev"], []):
        issuer.claims["groups"] = groups
        browser = Client()
        assert issuer.sign_in(browser).status_code == 403
        assert not _is_signed_in(browser)
        user = User.objects.get()
        assert (user.role, user.is_active) == ("owner", True)


@pytest.mark.parametrize("email", ["reader@example.com", "READER@example.com"])
def test_an_existing_user_is_not_taken_over_by_their_address(issuer: FakeIssuer, reader: Any, email: str) -> None:
    issuer.claims["email"] = email
    browser = Client()
    response = issuer.sign_in(browser)
    assert (response.status_code, "exists" in response.content.decode()) == (403, True)
    assert not SocialAccount.objects.exists()
    assert not _is_signed_in(browser)


@pytest.mark.parametrize("is_verified", [False, None, "false", "True", 0, 1, "yes", []])
def test_an_unverified_address_neither_adds_nor_links_a_user(
    issuer: FakeIssuer, reader: Any, settings: Any, is_verified: Any
) -> None:
    settings.OIDC_LINK_BY_EMAIL = True
    issuer.claims |= {"email": reader.email, "email_verified": is_verified}
    assert issuer.sign_in(Client()).status_code in {403, 503}
    assert not SocialAccount.objects.exists()


def test_where_it_is_allowed_a_verified_address_links_the_user_once(
    issuer: FakeIssuer, reader: Any, settings: Any
) -> None:
    settings.OIDC_LINK_BY_EMAIL = True
    issuer.claims["email"] = reader.email
    issuer.sign_in(Client())
    assert SocialAccount.objects.get().user == reader
    issuer.claims["sub"] = "another subject with the same address"
    assert issuer.sign_in(Client()).status_code == 403


@pytest.mark.parametrize("letters", ["\u0131", "\u0130", "k\u212a", "s\u017f"])
def test_an_address_with_a_letter_that_only_looks_the_same_links_nobody(
    issuer: FakeIssuer, reader: Any, settings: Any, letters: str
) -> None:
    settings.OIDC_LINK_BY_EMAIL = True
    reader.email = f"{letters[0] if len(letters) > 1 else 'i'}@example.com"
    reader.save()
    issuer.claims["email"] = f"{letters[-1]}@example.com"
    issuer.sign_in(Client())
    assert not SocialAccount.objects.filter(user=reader).exists()


def test_a_linked_user_does_not_come_in_by_their_old_password_or_confirm_by_it(
    issuer: FakeIssuer, reader: Any, settings: Any
) -> None:
    settings.OIDC_LINK_BY_EMAIL = True
    issuer.claims["email"] = reader.email
    browser = Client()
    issuer.sign_in(browser)
    page = Client().post("/sign-in/", {"username": reader.email, "password": PASSWORD}).content.decode()
    assert "Email or password is wrong." in page
    session = browser.session
    session[AUTHENTICATED_AT] = 0
    session.save()
    assert browser.post("/tokens/", {"confirm-password": PASSWORD}).status_code == 422


def test_a_signed_in_user_links_their_account(
    issuer: FakeIssuer, reader: Any, client_of: Callable[..., Client]
) -> None:
    browser = client_of(reader)
    page = browser.post("/second-factor/issuer/").content.decode()
    state = page.split("state=")[1].split("&")[0]
    issuer.nonce = page.split("nonce=")[1].split("&")[0].split('"')[0]
    response = browser.get("/sign-in/issuer/callback/", {"state": state, "code": "c"})
    assert response["Location"] == "/second-factor/"
    assert SocialAccount.objects.get().user == reader


def test_an_account_of_another_user_cannot_be_linked(
    issuer: FakeIssuer, reader: Any, client_of: Callable[..., Client]
) -> None:
    issuer.sign_in(Client())
    browser = client_of(reader)
    page = browser.post("/second-factor/issuer/").content.decode()
    issuer.nonce = page.split("nonce=")[1].split("&")[0].split('"')[0]
    state = page.split("state=")[1].split("&")[0]
    assert browser.get("/sign-in/issuer/callback/", {"state": state, "code": "c"}).status_code == 409


@pytest.mark.parametrize(
    "change",
    [
        {"token_claims": {"nonce": "another"}},
        {"token_claims": {"nonce": None}},
        {"token_claims": {"iss": "https://evil.example"}},
        {"token_claims": {"aud": "another"}},
        {"token_claims": {"aud": ["portal", "another"], "azp": "another"}},
        {"token_claims": {"exp": 1}},
        {"token_claims": {"exp": None}},
        {"token_claims": {"iat": 4_000_000_000}},
        {"token_claims": {"sub": None}},
        {"token_claims": {"sub": "another"}},
        {"signing_key": OTHER_KEY},
        {"algorithm": "none", "signing_key": None},
        {"algorithm": "HS256", "signing_key": "public"},
        {"configuration": {"issuer": "https://evil.example"}},
        {"user_info": {"sub": "another", "groups": ["boss"]}},
        {"user_info": {}},
        {"configuration": {"jwks_uri": None}},
    ],
)
def test_an_answer_that_is_not_for_this_sign_in_is_refused(issuer: FakeIssuer, change: dict[str, Any]) -> None:
    browser = Client()
    state = issuer.begin(browser)["state"]
    for name, value in change.items():
        setattr(issuer, name, value)
    response = browser.get("/sign-in/issuer/callback/", {"state": state, "code": "code-1"})
    assert response.status_code == 503
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "query", [{}, {"state": "x"}, {"code": "y"}, {"state": "x", "code": "y"}, {"error": "<script>"}]
)
def test_a_callback_that_nobody_began_signs_nobody_in(issuer: FakeIssuer, query: dict[str, str]) -> None:
    response = Client().get("/sign-in/issuer/callback/", query)
    assert response.status_code == 503
    assert "<script>" not in response.content.decode()


def test_a_callback_works_once_and_only_in_the_browser_that_began(issuer: FakeIssuer) -> None:
    browser = Client()
    state = issuer.begin(browser)["state"]
    assert Client().get("/sign-in/issuer/callback/", {"state": state, "code": "c"}).status_code == 503
    assert browser.get("/sign-in/issuer/callback/", {"state": state, "code": "c"}).status_code == 302
    assert browser.get("/sign-in/issuer/callback/", {"state": state, "code": "c"}).status_code == 503


@pytest.mark.parametrize("url", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_the_issuer_never_leads_to_another_site(issuer: FakeIssuer, url: str) -> None:
    assert issuer.sign_in(Client(), f"/sign-in/issuer/?next={url}")["Location"] == "/"


def test_while_the_issuer_is_down_a_page_says_so_and_passwords_still_work(issuer: FakeIssuer, reader: Any) -> None:
    issuer.is_down = True
    response = Client().get("/sign-in/issuer/")
    assert (response.status_code, "cannot be reached" in response.content.decode()) == (503, True)
    assert Client().post("/sign-in/", {"username": reader.email, "password": PASSWORD}).status_code == 302


def test_an_issuer_that_fails_in_between_is_a_page_too(issuer: FakeIssuer) -> None:
    browser = Client()
    state = issuer.begin(browser)["state"]
    issuer.is_down = True
    assert browser.get("/sign-in/issuer/callback/", {"state": state, "code": "c"}).status_code == 503


def test_without_an_issuer_its_pages_do_not_exist(settings: Any, reader: Any, client_of: Callable[..., Client]) -> None:
    settings.OIDC_ISSUER = ""
    browser = client_of(reader)
    for path in ("/sign-in/issuer/", "/sign-in/issuer/callback/", "/confirm/issuer/", "/second-factor/issuer/"):
        assert browser.get(path).status_code == 404


def test_a_subject_longer_than_the_column_is_kept_apart_from_others(issuer: FakeIssuer) -> None:
    for number in range(2):
        issuer.claims |= {"sub": "x" * 250 + str(number), "email": f"ada{number}@example.com"}
        issuer.sign_in(Client())
    assert User.objects.count() == 2


# ---- Scope groups


def test_readers_and_operators_are_limited_to_the_scope_groups_of_their_groups(
    issuer: FakeIssuer, settings: Any
) -> None:
    settings.OIDC_SCOPE_GROUPS = {"team-a": "Team A", "team-b": "Team B"}
    team_a, other = ScopeGroup.objects.create(name="Team A"), ScopeGroup.objects.create(name="Other")
    issuer.claims["groups"] = ["soc", "team-a", "team-b"]
    issuer.sign_in(Client())
    user = User.objects.get()
    assert (user.is_scoped, list(user.scope_groups.all())) == (True, [team_a])
    user.scope_groups.add(other)
    issuer.claims["groups"] = ["soc"]
    issuer.sign_in(Client())
    user = User.objects.get()
    assert (user.is_scoped, list(user.scope_groups.all())) == (True, [other])


def test_admins_are_not_limited(issuer: FakeIssuer, settings: Any) -> None:
    settings.OIDC_SCOPE_GROUPS = {"team-a": "Team A"}
    issuer.claims["groups"] = ["boss", "team-a"]
    issuer.sign_in(Client())
    assert not User.objects.get().is_scoped


# ---- Second factor and confirmation


def test_after_the_issuer_a_user_s_own_second_factor_is_asked(issuer: FakeIssuer, settings: Any) -> None:
    issuer.sign_in(Client())
    secret = add_app(User.objects.get())
    browser = Client()
    assert issuer.sign_in(browser)["Location"] == "/sign-in/second-factor/"
    assert not _is_signed_in(browser)
    browser.post("/sign-in/second-factor/", {"code": code_of(secret)})
    assert _is_signed_in(browser)
    settings.OIDC_HAS_SECOND_FACTOR = True
    again = Client()
    issuer.sign_in(again)
    assert _is_signed_in(again)


def test_a_required_second_factor_may_be_the_issuer_s(issuer: FakeIssuer, settings: Any) -> None:
    settings.REQUIRE_SECOND_FACTOR = ["operator"]
    browser = Client()
    issuer.sign_in(browser)
    assert not _is_signed_in(browser)
    settings.OIDC_HAS_SECOND_FACTOR = True
    assert _is_signed_in(browser)


def _later(browser: Client) -> Client:
    session = browser.session
    session[AUTHENTICATED_AT] = 0
    session.save()
    return browser


@pytest.mark.parametrize(("seconds_ago", "status"), [(0, 200), (3_600, 403), (None, 403)])
def test_a_new_sign_in_at_the_issuer_confirms_and_an_old_one_does_not(
    issuer: FakeIssuer, seconds_ago: float | None, status: int
) -> None:
    browser = Client()
    issuer.sign_in(browser)
    _later(browser)
    parameters = issuer.begin(browser, "/confirm/issuer/")
    assert (parameters["prompt"], parameters["max_age"]) == ("login", "0")
    issuer.token_claims["auth_time"] = None if seconds_ago is None else time.time() - seconds_ago
    query = {"state": parameters["state"], "code": "c"}
    assert browser.get("/sign-in/issuer/callback/", query).status_code == status
    confirmed = browser.post("/confirm/", {}, headers={"HX-Request": "true"})
    assert confirmed.status_code == (204 if status == 200 else 422)


def test_another_account_at_the_issuer_confirms_nothing(issuer: FakeIssuer) -> None:
    browser = Client()
    issuer.sign_in(browser)
    _later(browser)
    issuer.claims |= {"sub": "subject-2", "auth_time": time.time() + 1}
    state = issuer.begin(browser, "/confirm/issuer/")["state"]
    assert browser.get("/sign-in/issuer/callback/", {"state": state, "code": "c"}).status_code == 403
