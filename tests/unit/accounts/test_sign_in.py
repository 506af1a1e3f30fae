"""Signing in, and limits on guessing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.services, pytest.mark.django_db]
URL = "/sign-in/"


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


def _sign_in(email: str, password: str, caller: str = "192.0.2.1", **headers: str) -> Any:
    return Client(REMOTE_ADDR=caller, headers=headers).post(URL, {"username": email, "password": password})


def test_the_right_password_signs_in_whatever_the_email_s_case(reader: Any) -> None:
    assert _sign_in(reader.email.upper(), PASSWORD).status_code == 302


@pytest.mark.parametrize("email", ["reader@example.com", "nobody@example.com"])
def test_a_wrong_password_gives_the_same_error_for_known_and_unknown_users(reader: Any, email: str) -> None:
    page = _sign_in(email, "wrong").content.decode()
    assert "Email or password is wrong." in page


def test_sign_ins_and_failures_are_audited_without_the_password(reader: Any) -> None:
    _sign_in(reader.email, "wrong-secret")
    _sign_in(reader.email, PASSWORD)
    entries = list(AuditEntry.objects.order_by("pk"))
    assert [entry.verb for entry in entries] == ["failed to sign in as", "signed in"]
    assert not any(re.search("wrong-secret", str((e.before, e.after, e.object_name))) for e in entries)


def test_after_ten_failures_the_right_password_is_rejected_too(reader: Any) -> None:
    for _ in range(10):
        _sign_in(reader.email, "wrong")
    assert "Too many failed sign-ins" in _sign_in(reader.email, PASSWORD).content.decode()


def test_failures_from_elsewhere_do_not_lock_a_user_out(reader: Any) -> None:
    for _ in range(10):
        _sign_in(reader.email, "wrong", caller="198.51.100.7")
    assert _sign_in(reader.email, PASSWORD).status_code == 302


def test_behind_a_trusted_proxy_clients_are_distinguished(reader: Any, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    for number in range(50):
        _sign_in(f"u{number}@example.com", "wrong", **{"X-Forwarded-For": "invented, 198.51.100.7"})
    assert _sign_in(reader.email, PASSWORD, **{"X-Forwarded-For": "198.51.100.8"}).status_code == 302
    closed = _sign_in(reader.email, PASSWORD, **{"X-Forwarded-For": "another, 198.51.100.7"})
    assert "Too many failed sign-ins" in closed.content.decode()


def test_without_a_proxy_the_forwarded_header_is_ignored(reader: Any) -> None:
    for number in range(10):
        _sign_in(reader.email, "wrong", **{"X-Forwarded-For": f"198.51.100.{number}"})
    assert "Too many failed sign-ins" in _sign_in(reader.email, PASSWORD).content.decode()


def test_another_user_is_not_locked_out_by_them(reader: Any, operator: Any) -> None:
    for _ in range(10):
        _sign_in(reader.email, "wrong")
    assert _sign_in(operator.email, PASSWORD).status_code == 302


def test_signing_in_never_leads_to_another_site(reader: Any) -> None:
    response = Client().post(URL, {"username": reader.email, "password": PASSWORD, "next": "https://evil.example/"})
    assert response["Location"] == reverse("home")


def test_a_refused_sign_in_gets_429_with_the_seconds_to_wait(reader: Any) -> None:
    for _ in range(5):
        assert _sign_in(reader.email, "wrong").status_code == 200
    refused = _sign_in(reader.email, PASSWORD)
    assert refused.status_code == 429
    assert 1 <= int(refused["Retry-After"]) <= 10


@pytest.mark.parametrize("email", ["reader@example.com", "nobody@example.com"])
def test_the_limits_do_not_reveal_whether_an_account_exists(reader: Any, email: str) -> None:
    pages = [_sign_in(email, "wrong") for _ in range(7)]
    assert [page.status_code for page in pages] == [200] * 5 + [429] * 2
    assert {page.content.decode().count("Email or password is wrong.") for page in pages[:5]} == {1}


def test_pauses_double_and_a_refused_try_does_not_lengthen_them(reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now, occupied = 1000, dict[str, int]()

    def seconds_until_free(key: str, seconds: int) -> int:
        if occupied.get(key, 0) > now:
            return occupied[key] - now
        occupied[key] = now + seconds
        return 0

    monkeypatch.setattr("accounts.rate_limits.seconds_until_free", seconds_until_free)
    for _ in range(5):
        _sign_in(reader.email, "wrong")
    waits = []
    for _ in range(4):
        refused = [_sign_in(reader.email, "wrong") for _ in range(3)]
        assert {each.status_code for each in refused} == {429}
        waits.append(int(refused[-1]["Retry-After"]))
        now += waits[-1]
        assert _sign_in(reader.email, "wrong").status_code == 200
    assert waits == [10, 20, 40, 80]


def test_a_known_browser_passes_while_others_guess_from_its_office_and_at_its_account(
    reader: Any, operator: Any, settings: Any
) -> None:
    known = Client(REMOTE_ADDR="192.0.2.1")
    known.post(URL, {"username": reader.email, "password": PASSWORD})
    known.cookies.pop("sessionid")
    for number in range(60):
        _sign_in(f"u{number}@example.com", "wrong")
    for number in range(110):
        _sign_in(reader.email, "wrong", caller=f"198.51.100.{number}")
    assert _sign_in(reader.email, PASSWORD).status_code == 429
    assert known.post(URL, {"username": reader.email, "password": PASSWORD}).status_code == 302


def test_a_known_browser_is_known_for_its_own_account_only(reader: Any, operator: Any) -> None:
    thief = Client(REMOTE_ADDR="192.0.2.1")
    thief.post(URL, {"username": operator.email, "password": PASSWORD})
    thief.cookies.pop("sessionid")
    pages = [thief.post(URL, {"username": reader.email, "password": "wrong"}) for _ in range(6)]
    assert [page.status_code for page in pages] == [200] * 5 + [429]
    assert _sign_in(reader.email, PASSWORD).status_code == 429, "the address is limited with it"


def test_a_known_browser_may_not_guess_without_limit(reader: Any) -> None:
    browser = Client(REMOTE_ADDR="192.0.2.1")
    browser.post(URL, {"username": reader.email, "password": PASSWORD})
    browser.cookies.pop("sessionid")
    pages = [browser.post(URL, {"username": reader.email, "password": "wrong"}) for _ in range(6)]
    assert [page.status_code for page in pages] == [200] * 5 + [429]


@pytest.mark.parametrize("value", ["", "x", "e30:1:y", "\xff"])
def test_a_forged_cookie_makes_no_browser_known(reader: Any, value: str) -> None:
    browser = Client(REMOTE_ADDR="192.0.2.1")
    browser.cookies["known_device"] = value
    for _ in range(5):
        browser.post(URL, {"username": reader.email, "password": "wrong"})
    assert browser.post(URL, {"username": reader.email, "password": PASSWORD}).status_code == 429


def test_one_client_has_all_addresses_of_its_ipv6_network(reader: Any) -> None:
    for number in range(5):
        _sign_in(reader.email, "wrong", caller=f"2001:db8::{number + 1}")
    assert _sign_in(reader.email, PASSWORD, caller="2001:db8::ffff").status_code == 429
    assert _sign_in(reader.email, PASSWORD, caller="2001:db8:0:1::1").status_code == 302


def test_sign_ins_that_succeed_are_not_counted(reader: Any) -> None:
    assert [_sign_in(reader.email, PASSWORD).status_code for _ in range(12)] == [302] * 12


def test_wrong_old_passwords_are_counted(reader: Any, client_of: Any) -> None:
    browser = client_of(reader)
    form = {"old_password": "wrong", "new_password": "another passphrase", "again": "another passphrase"}
    assert {browser.post("/password/", form).status_code for _ in range(10)} == {422}
    refused = browser.post("/password/", form | {"old_password": PASSWORD})
    assert refused.status_code == 429 and "Too many wrong passwords" in refused.content.decode()
