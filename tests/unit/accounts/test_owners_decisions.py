"""Accounts that an Owner deactivated before the upgrade: which of them the issuer's groups reactivate after it."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.db import connection
from django.test import Client

from accounts.actions.issuer_sign_in import DENIED
from accounts.actions.users import change_user
from accounts.models import User
from accounts.roles import Role
from tests.unit.accounts.fake_issuer import FakeIssuer

pytestmark = [pytest.mark.services, pytest.mark.django_db, pytest.mark.usefixtures("issuer_settings")]
FORGET = importlib.import_module("accounts.migrations.0012_owners_decisions").FORGET


@pytest.fixture
def deactivated(issuer: FakeIssuer) -> User:
    """A user whom the groups deactivated, and to whom they give a role again."""
    issuer.sign_in(Client())
    issuer.claims["groups"] = []
    issuer.sign_in(Client())
    issuer.claims["groups"] = ["soc"]
    return User.objects.get(email="ada@example.com")


def _upgrade() -> None:
    with connection.cursor() as cursor:
        cursor.execute(FORGET)


def test_groups_reactivate_whom_they_deactivated_themselves(issuer: FakeIssuer, owner: Any, deactivated: User) -> None:
    change_user(owner, deactivated.pk, role=Role.OPERATOR, is_active=False, name="Ada L.")
    _upgrade()
    issuer.sign_in(Client())

    assert User.objects.get(pk=deactivated.pk).is_active


def test_groups_do_not_reactivate_whom_an_owner_deactivated_since(
    issuer: FakeIssuer, owner: Any, deactivated: User
) -> None:
    for is_active in (True, False):
        change_user(owner, deactivated.pk, role=Role.OPERATOR, is_active=is_active)
    change_user(owner, deactivated.pk, role=Role.OPERATOR, is_active=False, name="Ada L.")
    SocialAccount.objects.update(extra_data={DENIED: True})  # as it was kept before
    _upgrade()

    assert issuer.sign_in(Client()).status_code == 403
    assert not User.objects.get(pk=deactivated.pk).is_active
