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
