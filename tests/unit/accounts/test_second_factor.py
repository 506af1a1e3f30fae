"""A second factor after the password: codes, recovery codes, and who must have one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts.actions.session_store import SessionStore
from accounts.models import AuditEntry
from tests.unit.accounts.factors import add_app, app_of, code_of, sign_in
from tests.unit.at_once import at_once

pytestmark = [pytest.mark.services, pytest.mark.django_db]
STEP = "/sign-in/second-factor/"


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


def _verbs() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("verb", flat=True))


def _is_signed_in(browser: Client) -> bool:
    return browser.get("/audit/").status_code == 200


def test_a_password_alone_does_not_sign_in_a_user_with_an_app(reader: Any) -> None:
    add_app(reader)
    browser, response = sign_in(reader)
    assert response["Location"] == STEP
    assert not _is_signed_in(browser)


def test_the_app_s_code_completes_the_sign_in_and_leads_where_the_user_wanted(reader: Any) -> None:
    secret = add_app(reader)
    browser, _ = sign_in(reader)
    response = browser.post(STEP, {"code": code_of(secret)})
    assert response["Location"] == "/audit/"
    assert _is_signed_in(browser)
    assert AuditEntry.objects.get(verb="signed in").after == {"with": ["password", "totp"]}


def test_a_code_with_spaces_is_accepted(reader: Any) -> None:
    secret = add_app(reader)
    browser, _ = sign_in(reader)
    code = code_of(secret)
    assert browser.post(STEP, {"code": f" {code[:3]} {code[3:]} "}).status_code == 302


@pytest.mark.parametrize("steps", [-3, 3])
def test_a_code_of_another_minute_is_rejected(reader: Any, steps: int) -> None:
    secret = add_app(reader)
    browser, _ = sign_in(reader)
    response = browser.post(STEP, {"code": code_of(secret, steps)})
    assert response.status_code == 422
    assert not _is_signed_in(browser)
    assert "entered a wrong code for" in _verbs()


@pytest.mark.parametrize("code", ["", "abc", "１２３４５６", "0" * 33, "123456\0"])
def test_what_is_not_a_code_is_rejected(reader: Any, code: str) -> None:
    add_app(reader)
    browser, _ = sign_in(reader)
    assert browser.post(STEP, {"code": code}).status_code == 422


def test_a_code_works_once_even_when_the_cache_has_forgotten_it(reader: Any) -> None:
    secret = add_app(reader)
    code = code_of(secret)
    browser, _ = sign_in(reader)
    assert browser.post(STEP, {"code": code}).status_code == 302
    cache.clear()
    again, _ = sign_in(reader)
    assert again.post(STEP, {"code": code}).status_code == 422


def test_after_ten_wrong_codes_the_right_one_is_rejected_too(reader: Any) -> None:
    secret = add_app(reader)
    browser, _ = sign_in(reader)
    for _ in range(10):
        browser.post(STEP, {"code": "000000"})
    response = browser.post(STEP, {"code": code_of(secret)})
    assert "Too many wrong codes" in response.content.decode()


def test_wrong_codes_from_many_addresses_are_limited_too(reader: Any) -> None:
    secret = add_app(reader)
    for number in range(30):
        browser, _ = sign_in(reader, REMOTE_ADDR=f"198.51.100.{number}")
        browser.post(STEP, {"code": "000000"})
    browser, _ = sign_in(reader)
    assert browser.post(STEP, {"code": code_of(secret)}).status_code == 422


def test_without_a_cache_codes_are_still_checked(reader: Any, settings: Any) -> None:
    secret = add_app(reader)
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
            "OPTIONS": {"socket_connect_timeout": 1},
        }
    }
    browser, _ = sign_in(reader)
    assert browser.post(STEP, {"code": "000000"}).status_code == 422
    assert browser.post(STEP, {"code": code_of(secret)}).status_code == 302


def test_a_user_deactivated_between_the_steps_is_not_signed_in(reader: Any) -> None:
    secret = add_app(reader)
    browser, _ = sign_in(reader)
    reader.is_active = False
    reader.save()
    browser.post(STEP, {"code": code_of(secret)})
    assert not _is_signed_in(browser)


def test_a_password_changed_between_the_steps_ends_the_sign_in(reader: Any) -> None:
    """Whoever knew the old one must not come in by finishing what they began with it."""
    secret = add_app(reader)
    browser, _ = sign_in(reader)
    reader.set_password("another-correct-horse")
    reader.save()
    browser.post(STEP, {"code": code_of(secret)})
    assert not _is_signed_in(browser)


def test_the_second_step_without_the_first_leads_to_the_sign_in_page(reader: Any) -> None:
    assert Client().post(STEP, {"code": "123456"})["Location"] == "/sign-in/"


def test_a_session_gets_a_new_key_when_the_sign_in_is_complete(reader: Any) -> None:
    secret = add_app(reader)
    browser, _ = sign_in(reader)
    before = browser.cookies["sessionid"].value
    browser.post(STEP, {"code": code_of(secret)})
    assert browser.cookies["sessionid"].value != before


def test_each_recovery_code_works_once_and_is_audited(reader: Any) -> None:
    add_app(reader)
    code = RecoveryCodes.activate(reader).get_unused_codes()[0]
    browser, _ = sign_in(reader)
    assert browser.post(STEP, {"code": code}).status_code == 302
    assert "used a recovery code of" in _verbs()
    again, _ = sign_in(reader)
    assert again.post(STEP, {"code": code}).status_code == 422


def test_stored_secrets_are_encrypted_under_the_secret_key(reader: Any, settings: Any) -> None:
    secret = add_app(reader)
    RecoveryCodes.activate(reader)
    stored = json.dumps(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in stored
    assert len(re.findall("gAAAA", stored)) == 2
    settings.SECRET_KEY = "another"
    browser, _ = sign_in(reader)
    assert browser.post(STEP, {"code": code_of(secret)}).status_code == 422


def test_the_secret_of_an_app_that_is_being_set_up_is_not_stored_in_the_session(
    reader: Any, client_of: Callable[[Any], Client]
) -> None:
    browser = client_of(reader)
    page = browser.get(reverse("mfa_activate_totp")).content.decode()
    secret = re.search(r'class="secret">(\w+)<', page)
    assert secret
    session = SessionStore(browser.cookies["sessionid"].value)
    assert secret[1] not in json.dumps(session.load())
    code = code_of(secret[1])
    response = browser.post(reverse("mfa_activate_totp"), {"code": code})
    assert response["Location"] == reverse("mfa_view_recovery_codes")
    assert app_of(reader)
    assert _verbs()[-2:] == ["added a second factor to"] * 2  # the app, and its recovery codes
    # Whoever saw the code typed does not sign in with it; the next one works.
    again, _ = sign_in(reader)
    assert [again.post(STEP, {"code": each}).status_code for each in (code, code_of(secret[1], 1))] == [422, 302]


def test_recovery_codes_are_shown_once(reader: Any, client_of: Callable[[Any], Client]) -> None:
    add_app(reader)
    codes = RecoveryCodes.activate(reader).get_unused_codes()
    browser = client_of(reader)
    assert codes[0] in browser.get(reverse("mfa_view_recovery_codes")).content.decode()
    assert codes[0] not in browser.get(reverse("mfa_view_recovery_codes")).content.decode()


@pytest.mark.django_db(transaction=True)
def test_of_requests_at_once_one_adds_the_app_and_none_fails(reader: Any, client_of: Callable[[Any], Client]) -> None:
    browser = client_of(reader)
    secret = re.search(r'class="secret">(\w+)<', browser.get(reverse("mfa_activate_totp")).content.decode())
    assert secret
    code = code_of(secret[1])

    def add() -> str:
        same = Client()
        same.cookies = browser.cookies
        return str(same.post(reverse("mfa_activate_totp"), {"code": code})["Location"])

    added, there_already = reverse("mfa_view_recovery_codes"), reverse("mfa_deactivate_totp")
    assert sorted(at_once(*[add] * 4)) == sorted([added, *[there_already] * 3])
    assert app_of(reader)


@pytest.mark.django_db(transaction=True)
def test_of_pages_at_once_one_shows_the_recovery_codes(reader: Any, client_of: Callable[[Any], Client]) -> None:
    add_app(reader)
    code = RecoveryCodes.activate(reader).get_unused_codes()[0]
    browsers = [client_of(reader) for _ in range(6)]
    pages = at_once(*(lambda each=each: each.get(reverse("mfa_view_recovery_codes")) for each in browsers))
    assert sum(code in page.content.decode() for page in pages) == 1


def test_the_overview_and_new_codes_work_after_the_secret_key_changed(
    reader: Any, client_of: Callable[[Any], Client], settings: Any
) -> None:
    add_app(reader)
    RecoveryCodes.activate(reader)
    settings.SECRET_KEY = "another"
    browser = client_of(reader)
    assert "10 of 10 codes" in browser.get(reverse("mfa_index")).content.decode()
    assert browser.get(reverse("mfa_generate_recovery_codes")).status_code == 200
    assert browser.post(reverse("mfa_generate_recovery_codes")).status_code == 302


def test_a_role_that_requires_a_second_factor_can_only_set_one_up(
    reader: Any, operator: Any, client_of: Callable[[Any], Client], settings: Any
) -> None:
    settings.REQUIRE_SECOND_FACTOR = ["operator"]
    browser = client_of(operator)
    assert browser.get("/alerts/")["Location"] == reverse("mfa_index")
    assert browser.post(reverse("policy:order"))["Location"] == reverse("mfa_index")
    fragment = browser.get(reverse("notify:bell"), headers={"HX-Request": "true"})
    assert (fragment.status_code, fragment["HX-Refresh"]) == (204, "true")
    assert "requires a second factor" in browser.get(reverse("mfa_index")).content.decode()
    assert _is_signed_in(client_of(reader))
    add_app(operator)
    assert _is_signed_in(browser)


def test_recovery_codes_alone_are_no_second_factor(
    operator: Any, client_of: Callable[[Any], Client], settings: Any
) -> None:
    settings.REQUIRE_SECOND_FACTOR = ["operator"]
    RecoveryCodes.activate(operator)
    assert not _is_signed_in(client_of(operator))


def test_an_api_token_needs_no_second_factor(operator: Any, api_of: Callable[[Any], Client], settings: Any) -> None:
    settings.REQUIRE_SECOND_FACTOR = ["operator"]
    assert api_of(operator).get("/api/v1/alerts/").status_code == 200


def test_an_owner_resets_another_s_second_factor(owner: Any, reader: Any, client_of: Callable[[Any], Client]) -> None:
    add_app(reader)
    url = reverse("accounts:second-factor-reset", args=[reader.pk])
    assert "Reset the second factor of" in client_of(owner).get(reverse("accounts:users")).content.decode()
    session = client_of(reader)
    client_of(owner).post(url)
    assert not Authenticator.objects.filter(user=reader).exists()
    assert not _is_signed_in(session)
    entry = AuditEntry.objects.get(verb="reset second factor of")
    assert (entry.actor, entry.before) == (owner, {"factors": ["totp"]})


def test_an_owner_cannot_reset_their_own_second_factor_by_the_page(
    owner: Any, client_of: Callable[[Any], Client]
) -> None:
    """A stolen session would get rid of it."""
    add_app(owner)
    client_of(owner).post(reverse("accounts:second-factor-reset", args=[owner.pk]))
    assert app_of(owner)


def test_an_admin_cannot_reset_a_second_factor(admin: Any, reader: Any, client_of: Callable[[Any], Client]) -> None:
    add_app(reader)
    assert client_of(admin).post(reverse("accounts:second-factor-reset", args=[reader.pk])).status_code == 403
    assert app_of(reader)


def test_the_last_owner_s_second_factor_is_reset_by_command(owner: Any) -> None:
    add_app(owner)
    call_command("reset_second_factor", owner.email.upper())
    assert not Authenticator.objects.exists()
    assert AuditEntry.objects.get(verb="reset second factor of").actor is None
    with pytest.raises(CommandError, match="has no second factor"):
        call_command("reset_second_factor", owner.email)
    with pytest.raises(CommandError, match="is not a user"):
        call_command("reset_second_factor", "nobody@example.com")
