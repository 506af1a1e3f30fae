"""The audit log accepts new rows and no other change."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, connection

from accounts import audit
from accounts.models import AuditEntry
from tests.database import as_owner

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def test_an_entry_names_who_did_what_before_and_after(admin: Any) -> None:
    audit.record(admin, "renamed", "environment", 7, name="prod", before={"name": "a"}, after={"name": "b"})
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.actor_name, entry.verb, entry.object_id) == (admin, admin.email, "renamed", "7")
    assert (entry.before, entry.after) == ({"name": "a"}, {"name": "b"})


def test_an_entry_without_a_user_belongs_to_the_system() -> None:
    audit.record(None, "saved", "policy", 2)
    assert AuditEntry.objects.get().actor_name == audit.SYSTEM


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "statement",
    ["UPDATE accounts_auditentry SET verb = 'x'", "DELETE FROM accounts_auditentry", "TRUNCATE accounts_auditentry"],
)
def test_no_entry_can_be_changed_or_removed(statement: str) -> None:
    audit.record(None, "saved", "policy", 2)
    with pytest.raises(DatabaseError, match="permission denied"), connection.cursor() as cursor:
        cursor.execute(statement)
    with as_owner() as cursor, pytest.raises(DatabaseError, match="append-only"):
        cursor.execute(statement)
    assert AuditEntry.objects.count() == 1
