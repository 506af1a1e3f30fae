"""Administrators see on the page of health what weakens the protection of what is stored."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import audit
from accounts.actions.audit_seals import seal_entries
from accounts.models import AuditEntry
from accounts.queries.storage_warnings import SEALED_WITHIN, unsealed_since
from tests.database import as_owner

pytestmark = [pytest.mark.services, pytest.mark.django_db]
ClientOf = Callable[[Any], Client]
HEALTH = "/settings/health/"
ROLE = 'id="condition-database_role"'


def test_one_database_role_for_everything_is_shown_to_administrators(
    admin: Any, owner: Any, operator: Any, client_of: ClientOf
) -> None:
    assert ROLE not in client_of(owner).get(HEALTH).text
    with as_owner():
        for user, is_shown in ((owner, True), (admin, True), (operator, False)):
            assert (ROLE in client_of(user).get(HEALTH).text) is is_shown


def test_a_sealer_that_stands_still_is_shown(admin: Any, client_of: ClientOf) -> None:
    audit.record(None, "changed", "thing", 1)
    seal_entries()
    audit.record(None, "changed", "thing", 2)
    assert unsealed_since() is None, "it has ten seconds, and is given ten minutes"
    late = timezone.now() - SEALED_WITHIN - dt.timedelta(seconds=1)
    AuditEntry.objects.create(actor_name="x", verb="changed", object_type="thing", object_id="3", at=late)
    assert unsealed_since() == late
    page = client_of(admin).get(HEALTH).text
    assert 'id="condition-audit_seal"' in page
    assert f"{late:%F %T} UTC" in page
    seal_entries()
    assert unsealed_since() is None
