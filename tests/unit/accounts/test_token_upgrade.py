"""Tokens from before scopes and expiry: what the migration makes of them."""

from __future__ import annotations

import datetime as dt
import importlib
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import ApiToken, User
from accounts.models.tokens import scopes_of_role
from accounts.roles import Role
from accounts.tokens import TokenScope
from tests.database import as_owner

pytestmark = [pytest.mark.services, pytest.mark.django_db]
MIGRATION = importlib.import_module("accounts.migrations.0005_token_scopes")


def _old_token(user: Any, prefix: str, expires_at: dt.datetime | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_apitoken (user_id, name, prefix, digest, created_at, expires_at) "
            "VALUES (%s, 'old', %s, '', %s, %s)",
            [user.pk, prefix, timezone.now() - dt.timedelta(days=900), expires_at],
        )


def test_old_tokens_expire_within_a_year_with_the_scopes_of_their_user_s_role() -> None:
    now = timezone.now()
    with as_owner() as cursor:
        cursor.execute("ALTER TABLE accounts_apitoken ALTER COLUMN expires_at DROP NOT NULL")
    for role in Role:
        user = User.objects.create_user(f"{role}@example.com", role.label, role)
        _old_token(user, f"{role}-never", None)
        _old_token(user, f"{role}-late", now + dt.timedelta(days=3000))
        _old_token(user, f"{role}-soon", now + dt.timedelta(days=3))
    with connection.cursor() as cursor:
        cursor.execute(MIGRATION.EXISTING)

    year = dt.timedelta(days=366, minutes=1)
    for token in ApiToken.objects.select_related("user"):
        # What came later is for tokens that were given it.
        since = {TokenScope.KUBERNETES_AUDIT}
        assert token.scopes == [scope.value for scope in scopes_of_role(Role(token.user.role)) if scope not in since]
        if token.prefix.endswith("soon"):
            assert token.expires_at == now + dt.timedelta(days=3)
        else:
            assert dt.timedelta(days=364) < token.expires_at - now <= year


def test_old_tokens_of_a_closed_account_are_revoked(reader: Any, operator: Any) -> None:
    User.objects.filter(pk=reader.pk).update(is_active=False)
    for user in (reader, operator):
        _old_token(user, user.role, timezone.now() + dt.timedelta(days=3))
    with connection.cursor() as cursor:
        cursor.execute(MIGRATION.EXISTING)
    assert list(ApiToken.objects.filter(revoked_at=None).values_list("user_id", flat=True)) == [operator.pk]
