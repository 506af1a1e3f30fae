"""SQL as the portal's role: the database takes no false seal, and no entry that cannot be read."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from accounts import audit
from accounts.actions.audit_seals import seal_entries
from accounts.audit_chain import chain_digest, new_salts, record_digest
from accounts.models import AuditEntry, AuditSeal
from accounts.queries.audit_verification import current_head, verify_audit_log

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def seal(**changes: Any) -> AuditSeal:
    """The seal that would be the next one, with some of its values changed and its digest that of the changed ones."""
    audit.record(None, "changed", "thing", 1)
    seal_entries()
    audit.record(None, "changed", "thing", 2)
    entry, head, salts = AuditEntry.objects.latest("pk"), current_head(), {}
    salts = new_salts(entry)
    values: dict[str, Any] = {
        "position": head.position + 1, "entry_id": entry.pk, "record": record_digest(entry, salts, {}),
        "sealed_at": timezone.now(), "salts": salts,
    } | changes  # fmt: skip
    digest = chain_digest(values["position"], head.digest, values["sealed_at"], values["record"])
    return AuditSeal(**({"digest": digest} | values))


def test_the_next_seal_is_accepted() -> None:
    seal().save(force_insert=True)
    assert verify_audit_log().is_intact


@pytest.mark.parametrize(
    "changes",
    [
        {"position": 1},
        {"position": 4},
        {"position": 2**63 - 1},
        {"sealed_at": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)},
        {"sealed_at": dt.datetime(2199, 1, 1, tzinfo=dt.UTC)},
        {"digest": bytes(32)},
        {"record": b""},
        {"record": bytes(64)},
        {"entry_id": 2**62},
        {"erased": {"object_name": "00"}},
    ],
    ids=lambda changes: "-".join(f"{key} {str(value)[:12]}" for key, value in changes.items()),
)
def test_a_seal_that_is_not_the_next_one_is_refused(changes: dict[str, Any]) -> None:
    false = seal(**changes)
    with pytest.raises(DatabaseError), transaction.atomic():
        false.save(force_insert=True)
    assert seal_entries() == 1, "the sealer goes on"
    assert verify_audit_log().is_intact


@pytest.mark.parametrize(
    "value",
    ['{"a": 1e5000}', '{"a": [{"b": -1e309}]}', "[" * 5_000 + "]" * 5_000, '{"a":' * 70 + "1" + "}" * 70, "1e400"],
    ids=["huge", "nested", "deep list", "deep object", "bare"],
)
@pytest.mark.parametrize("column", ["before", "after"])
def test_an_entry_that_no_reader_could_read_is_refused(column: str, value: str) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO accounts_auditentry (at, actor_name, verb, object_type, object_id, object_name, {column})"
            " VALUES (now(), '', '', '', '', '', %s)",
            [value],
        )
    audit.record(None, "changed", "thing", 1)
    assert seal_entries() == 1


@pytest.mark.parametrize("number", [1e308, -1e308, 10**300, 0.1, 1e-320])
def test_any_number_that_a_reader_can_read_is_accepted(number: float) -> None:
    audit.record(None, "changed", "thing", 1, after={"number": number, "same": [{"in": number}]})
    assert seal_entries() == 1
    assert verify_audit_log().is_intact
