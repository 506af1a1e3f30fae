"""What a passkey signed must be for this portal, and by the only one of its kind (docs/sign-in.md#second-factors)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.test import Client
from fido2.utils import websafe_encode

from accounts.actions.sessions import end_sessions
from accounts.models import AuditEntry, User
from accounts.plain_text import one_line
from accounts.roles import Role
from tests.conftest import PASSWORD
from tests.unit.accounts.soft_passkey import FLAG, SoftPasskey

pytestmark = [pytest.mark.services, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _portal(settings: Any) -> None:
    cache.clear()
    settings.PUBLIC_URL = "http://localhost"


@pytest.fixture
def passkey(reader: Any, client_of: Callable[[Any], Client]) -> SoftPasskey:
    """A passkey of the reader."""
    key = SoftPasskey()
    assert key.add_to(client_of(reader)).status_code == 302
    return key


def signs_in(passkey: SoftPasskey) -> bool:
    browser = Client()
    passkey.sign_in(browser)
    return browser.get("/alerts/").status_code == 200


@pytest.mark.parametrize("number", [9, 10, 36, 4711, 2**62])
def test_a_passkey_signs_its_user_in_whatever_their_number(number: int, client_of: Callable[[Any], Client]) -> None:
    User.objects.filter(pk=number).delete()
    user = User(pk=number, email="many@example.com", name="One of many", role=Role.READER)
    user.save()
    key = SoftPasskey()
    key.add_to(client_of(user))
    key.count = 2
    browser = Client()
    key.sign_in(browser)
    assert browser.get("/alerts/").wsgi_request.user == user


def test_a_passkey_signs_in_each_time_that_its_count_has_grown(passkey: SoftPasskey) -> None:
    for passkey.count in (2, 3, 90):
        assert signs_in(passkey)


@pytest.mark.parametrize("counts", [(5, 5), (5, 4), (5, 0), (1,)])
def test_a_passkey_whose_count_has_not_grown_is_a_copy_and_refused(
    passkey: SoftPasskey, counts: tuple[int, ...]
) -> None:
    for passkey.count in counts[:-1]:
        assert signs_in(passkey)
    passkey.count = counts[-1]
    assert not signs_in(passkey)
    assert AuditEntry.objects.filter(verb="was refused a copied passkey of").count() == 1


def test_a_passkey_that_does_not_count_is_no_copy(reader: Any, client_of: Callable[[Any], Client]) -> None:
    key = SoftPasskey(count=0)
    key.add_to(client_of(reader))
    assert signs_in(key) and signs_in(key)


@pytest.mark.parametrize(
    "origin", ["http://evil.localhost", "https://evil.localhost:8443", "https://other.example", "null", "http://[", ""]
)
def test_a_passkey_that_a_page_of_another_name_asked_for_is_refused(passkey: SoftPasskey, origin: str) -> None:
    passkey.count, passkey.origin = 2, origin
    assert not signs_in(passkey)
    passkey.origin = "http://localhost"
    assert signs_in(passkey)


def test_a_passkey_that_checked_neither_pin_nor_fingerprint_signs_nobody_in(passkey: SoftPasskey) -> None:
    passkey.count, passkey.flags = 2, FLAG.UP
    assert not signs_in(passkey)


@pytest.mark.parametrize("handle", ["", "0", "-1", "z", "9" * 30, "9" * 5000, "\0", "１"])
def test_a_passkey_of_an_invented_user_is_refused(passkey: SoftPasskey, handle: str) -> None:
    passkey.user_handle, passkey.count = websafe_encode(handle.encode()), 2
    assert not signs_in(passkey)


def test_a_passkey_for_another_portal_is_refused(passkey: SoftPasskey) -> None:
    passkey.count, passkey.rp_id = 2, "other.example"
    assert not signs_in(passkey)


def test_no_passkey_is_added_that_a_page_of_another_name_asked_for(
    reader: Any, client_of: Callable[[Any], Client]
) -> None:
    key = SoftPasskey(origin="http://evil.localhost")
    assert key.add_to(client_of(reader)).status_code == 422
    assert not signs_in(key)


def test_a_copied_passkey_confirms_nothing(
    passkey: SoftPasskey, reader: Any, client_of: Callable[[Any], Client]
) -> None:
    browser = client_of(reader)
    challenge = browser.get("/confirm/passkey/").json()["publicKey"]["challenge"]
    form = {"confirm-credential": passkey.signed(challenge)}
    assert browser.post("/confirm/", form).status_code == 422
    passkey.count = 2
    challenge = browser.get("/confirm/passkey/").json()["publicKey"]["challenge"]
    assert browser.post("/confirm/", {"confirm-credential": passkey.signed(challenge)}).status_code == 302


# ---- What it was added for


@pytest.fixture
def second_factor(reader: Any, client_of: Callable[[Any], Client]) -> SoftPasskey:
    """A passkey of the reader that was added as a second factor; it can do all that one can that signs in alone."""
    key = SoftPasskey()
    assert key.add_to(client_of(reader), passwordless=False).status_code == 302
    key.count = 2
    return key


def _options_of_second_step(browser: Client, user: Any) -> str:
    browser.post("/sign-in/", {"username": user.email, "password": PASSWORD})
    options = json.loads(browser.get("/sign-in/second-factor/").context["passkey_options"])
    challenge: str = options["publicKey"]["challenge"]
    return challenge


def test_a_passkey_that_was_added_as_a_second_factor_signs_nobody_in_alone_whatever_it_checked(
    second_factor: SoftPasskey,
) -> None:
    assert second_factor.flags & FLAG.UV
    assert not signs_in(second_factor)


def test_a_passkey_that_was_added_as_a_second_factor_is_one_after_the_password(
    second_factor: SoftPasskey, reader: Any
) -> None:
    browser = Client()
    challenge = _options_of_second_step(browser, reader)
    browser.post("/sign-in/second-factor/", {"credential": second_factor.signed(challenge)})
    assert browser.get("/alerts/").status_code == 200


def test_what_a_second_factor_signed_for_the_second_step_does_not_stand_in_for_the_password(
    second_factor: SoftPasskey, reader: Any
) -> None:
    browser = Client()
    signed = second_factor.signed(_options_of_second_step(browser, reader))
    browser.post("/sign-in/passkey/", {"credential": signed})
    assert browser.get("/alerts/").status_code == 302


@pytest.mark.parametrize("data", [{"passwordless": "on"}, {"passwordless": 1}, {"passwordless": False}, {}])
def test_only_the_portal_s_own_record_lets_a_passkey_sign_in_alone(
    second_factor: SoftPasskey, data: dict[str, Any]
) -> None:
    """Nor does one that was added before that was recorded."""
    stored = Authenticator.objects.get(type=Authenticator.Type.WEBAUTHN)
    stored.data |= data
    stored.save()
    assert not signs_in(second_factor)


def test_a_browser_cannot_add_the_record_to_what_it_sends(
    reader: Any, client_of: Callable[[Any], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = SoftPasskey.added
    more = {"passwordless": True, "clientExtensionResults": {"credProps": {"rk": True}, "passwordless": True}}
    monkeypatch.setattr(SoftPasskey, "added", lambda self, each: json.dumps(json.loads(real(self, each)) | more))
    key = SoftPasskey()
    assert key.add_to(client_of(reader), passwordless=False).status_code == 302
    key.count = 2
    assert not signs_in(key)


def test_a_passkey_that_checks_nothing_is_not_added_to_sign_in_alone(
    reader: Any, client_of: Callable[[Any], Client]
) -> None:
    key = SoftPasskey(flags=FLAG.UP)
    assert key.add_to(client_of(reader)).status_code == 422
    assert key.add_to(client_of(reader), passwordless=False).status_code == 302


def test_the_page_says_what_each_passkey_was_added_for(
    passkey: SoftPasskey, second_factor: SoftPasskey, reader: Any, client_of: Callable[[Any], Client]
) -> None:
    page = client_of(reader).get("/second-factor/").content.decode()
    assert (page.count("Without a password"), page.count("After the password")) == (1, 1)


def rename(browser: Client, name: str) -> Any:
    pk = Authenticator.objects.get(type="webauthn").pk
    return browser.post(f"/second-factor/passkeys/{pk}/rename/", {"name": name})


def test_a_renamed_passkey_is_audited_and_signs_in_as_before(
    passkey: SoftPasskey, reader: Any, client_of: Callable[[Any], Client]
) -> None:
    assert rename(client_of(reader), "Blue key").status_code == 302
    entry = AuditEntry.objects.get(verb="renamed a passkey of")
    assert (entry.actor, entry.before, entry.after) == (reader, {"passkey": "A key"}, {"passkey": "Blue key"})
    passkey.count = 2
    assert signs_in(passkey)


@pytest.mark.parametrize("name", ["a\u202eb", "x" * 65, ""])
def test_a_name_that_is_too_long_or_has_a_hidden_character_is_refused(
    name: str, passkey: SoftPasskey, reader: Any, client_of: Callable[[Any], Client]
) -> None:
    browser, further = client_of(reader), SoftPasskey()
    assert rename(browser, name).status_code == 422
    options = json.loads(browser.get("/second-factor/passkeys/add/").context["options"])["publicKey"]
    form = {"name": name, "credential": further.added(options["challenge"])}
    assert browser.post("/second-factor/passkeys/add/", form).status_code == 422
    assert [each.wrap().name for each in Authenticator.objects.filter(type="webauthn")] == ["A key"]


@pytest.mark.parametrize("meanwhile", ["removed", "used"])
def test_renaming_stores_nothing_else_of_a_passkey_as_it_was_before(
    meanwhile: str, passkey: SoftPasskey, reader: Any, client_of: Callable[[Any], Client], monkeypatch: Any
) -> None:
    """An Owner who resets the factors of a user whose session was stolen removes the thief's too."""
    browser, clean = client_of(reader), one_line

    def clean_meanwhile(text: str) -> None:
        if meanwhile == "removed":
            Authenticator.objects.all().delete()
        else:
            passkey.count = 9
            assert signs_in(passkey)
        clean(text)

    monkeypatch.setattr("accounts.views.second_factor.one_line", clean_meanwhile)
    rename(browser, "Mine")
    assert Authenticator.objects.filter(type="webauthn").exists() is (meanwhile == "used")
    assert not signs_in(passkey)  # it is gone, or a copy


def test_no_factor_is_added_in_a_session_that_ends_meanwhile(
    reader: Any, owner: Any, client_of: Callable[[Any], Client], monkeypatch: Any
) -> None:
    """Whoever stole a session must not have a passkey once an Owner has reset the factors, which ends it."""
    browser = client_of(reader)
    monkeypatch.setattr("accounts.views.second_factor.lock_user", lambda user: end_sessions(owner, user))
    assert SoftPasskey().add_to(browser).status_code == 400
    assert not Authenticator.objects.exists()
