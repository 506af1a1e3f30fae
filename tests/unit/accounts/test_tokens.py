"""A user's API token."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import tokens
from accounts.actions.tokens import create_token
from accounts.models import ApiToken

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]
CALL = "/api/v1/policy/versions/"


def _get(token: str) -> int:
    return int(Client(headers={"Authorization": f"Bearer {token}"}).get(CALL).status_code)


def test_a_token_acts_as_its_user(reader: Any) -> None:
    assert _get(create_token(reader, "ci")) == 200


def test_the_secret_is_not_stored(reader: Any) -> None:
    text = create_token(reader, "ci")
    row = ApiToken.objects.get()
    assert text.encode() not in bytes(row.digest) and tokens.matches(text, row.digest)


@pytest.mark.parametrize("spoil", [lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"), lambda text: "dwp_x_y"])
def test_a_wrong_token_is_rejected(reader: Any, spoil: Callable[[str], str]) -> None:
    assert _get(spoil(create_token(reader, "ci"))) == 401


def test_an_expired_token_is_rejected(reader: Any) -> None:
    assert _get(create_token(reader, "ci", timezone.now() - dt.timedelta(seconds=1))) == 401


def test_a_closed_account_s_token_is_rejected(reader: Any) -> None:
    text = create_token(reader, "ci")
    reader.is_active = False
    reader.save()
    assert _get(text) == 401


def test_a_revoked_token_is_rejected_and_another_user_s_cannot_be_revoked(
    reader: Any, operator: Any, client_of: Callable[[Any], Client]
) -> None:
    text = create_token(reader, "ci")
    url = reverse("accounts:token-revoke", args=[ApiToken.objects.get().pk])
    assert client_of(operator).post(url).status_code == 404
    assert _get(text) == 200
    assert client_of(reader).post(url).status_code == 302
    assert _get(text) == 401


def test_a_token_opens_no_page_so_a_stolen_one_cannot_create_others(owner: Any) -> None:
    stolen = Client(headers={"Authorization": f"Bearer {create_token(owner, 'ci')}"})
    assert stolen.post(reverse("accounts:tokens"), {"name": "mine", "days": "0"}).status_code == 302
    assert ApiToken.objects.count() == 1
