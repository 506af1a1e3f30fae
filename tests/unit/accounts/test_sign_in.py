"""Signing in, and what guessing gets you."""

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


def _sign_in(email: str, password: str) -> Any:
    return Client().post(URL, {"username": email, "password": password})


def test_the_right_password_opens_the_door_whatever_the_email_s_case(reader: Any) -> None:
    assert _sign_in(reader.email.upper(), PASSWORD).status_code == 302


@pytest.mark.parametrize("email", ["reader@example.com", "nobody@example.com", "a\0b@example.com"])
def test_a_wrong_one_is_told_the_same_for_known_and_unknown_users(reader: Any, email: str) -> None:
    page = _sign_in(email, "wrong").content.decode()
    assert "Email or password is wrong." in page or "Null characters" in page


def test_sign_ins_and_failures_are_audited_without_the_password(reader: Any) -> None:
    _sign_in(reader.email, "wrong-secret")
    _sign_in(reader.email, PASSWORD)
    entries = list(AuditEntry.objects.order_by("pk"))
    assert [entry.verb for entry in entries] == ["failed to sign in as", "signed in"]
    assert not any(re.search("wrong-secret", str((e.before, e.after, e.object_name))) for e in entries)


def test_ten_failures_close_the_door_for_the_right_password_too(reader: Any) -> None:
    for _ in range(10):
        _sign_in(reader.email, "wrong")
    assert "Too many failed sign-ins" in _sign_in(reader.email, PASSWORD).content.decode()


def test_another_user_is_not_locked_out_by_them(reader: Any, operator: Any) -> None:
    for _ in range(10):
        _sign_in(reader.email, "wrong")
    assert _sign_in(operator.email, PASSWORD).status_code == 302


def test_signing_in_never_leads_to_another_site(reader: Any) -> None:
    response = Client().post(URL, {"username": reader.email, "password": PASSWORD, "next": "https://evil.example/"})
    assert response["Location"] == reverse("home")
