"""What a passkey signed must be for this portal (docs/sign-in.md#second-factors)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from fido2.utils import websafe_encode

from accounts.models import User
from accounts.roles import Role
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


def test_a_passkey_that_does_not_count_is_no_copy(reader: Any, client_of: Callable[[Any], Client]) -> None:
    key = SoftPasskey(count=0)
    key.add_to(client_of(reader))
    assert signs_in(key) and signs_in(key)


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
