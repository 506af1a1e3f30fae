"""The audit log's hash chain: what is changed, removed, inserted, reordered or cut off is found."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts import audit
from accounts.actions import audit_seals
from accounts.actions.audit_seals import seal_entries
from accounts.audit_chain import GENESIS, Head, chain_digest, new_salts, record_digest
from accounts.models import AuditEntry, AuditSeal
from accounts.queries.audit_verification import current_head, verify_audit_log
from tests.database import as_owner, without_triggers

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def record(count: int = 1, **values: Any) -> None:
    for number in range(count):
        audit.record(
            None, "changed", "thing", number, name=f"Thing {number}", **{"after": {"number": number}, **values}
        )


def problems(*heads: Head) -> list[str]:
    return verify_audit_log(heads).problems


def test_entries_are_sealed_in_the_order_in_which_they_were_written() -> None:
    record(3)
    assert seal_entries() == 3
    assert seal_entries() == 0
    seals = list(AuditSeal.objects.order_by("position").values_list("position", "entry_id"))
    assert seals == [(n, pk) for n, pk in enumerate(AuditEntry.objects.order_by("pk").values_list("pk", flat=True), 1)]
    result = verify_audit_log()
    assert (result.is_intact, result.entries, result.unsealed) == (True, 3, 0)
    assert result.head == current_head()


def test_an_empty_log_is_intact() -> None:
    assert verify_audit_log([Head(0, GENESIS)]).is_intact
    assert current_head() == Head(0, GENESIS)


def test_entries_that_are_not_sealed_yet_are_counted_and_no_problem() -> None:
    record(2)
    seal_entries()
    record(3)
    result = verify_audit_log()
    assert (result.is_intact, result.entries, result.unsealed) == (True, 2, 3)
    assert result.oldest_unsealed is not None


CHANGES = {
    "at": "at + interval '1 second'",
    "actor_id": "(SELECT id FROM accounts_user LIMIT 1)",
    "actor_name": "'x'",
    "verb": "'x'",
    "object_type": "'x'",
    "object_id": "'x'",
    "object_name": "''",
    "before": "'{}'",
    "after": """'{"number": 7}'""",
    "origin": "'x'",
    "address": "'192.0.2.1'",
    "agent": "'x'",
    "session": "'x'",
    "token": "'x'",
    "request_id": "'x'",
}


def test_every_column_of_an_entry_is_committed() -> None:
    columns = {field.column for field in AuditEntry._meta.concrete_fields} - {"id"}
    assert columns == set(CHANGES)


@pytest.mark.parametrize("column", CHANGES)
def test_a_changed_column_is_found_where_it_is(column: str, owner: Any) -> None:
    record(3)
    seal_entries()
    position, pk = AuditSeal.objects.values_list("position", "entry_id").get(position=2)
    with without_triggers() as cursor:
        cursor.execute(f"UPDATE accounts_auditentry SET {column} = {CHANGES[column]} WHERE id = %s", [pk])
    found = problems()
    assert len(found) == 1 and found[0].startswith(f"position {position} (entry {pk}): the entry was changed")


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DELETE FROM accounts_auditentry WHERE id = {2}", "position 2 (entry {2}): the entry was removed"),
        ("DELETE FROM accounts_auditseal WHERE position = 2", "position 2: missing; the next one is 3"),
        ("DELETE FROM accounts_auditseal WHERE position = 1", "position 1: missing; the next one is 2"),
        (
            "UPDATE accounts_auditseal SET entry_id = CASE position WHEN 1 THEN {2} ELSE {1} END WHERE position < 3",
            "position 1 (entry {2}): the entry was changed",
        ),
        (
            "UPDATE accounts_auditentry SET id = CASE id WHEN {1} THEN {2} ELSE {1} END WHERE id IN ({1}, {2})",
            "position 1 (entry {1}): the entry was changed",
        ),
        (
            "UPDATE accounts_auditseal SET sealed_at = sealed_at - interval '1 day' WHERE position = 2",
            "position 2 (entry {2}): the seal was changed, or one before it",
        ),
        (
            "UPDATE accounts_auditseal SET digest = sha256('x') WHERE position = 2",
            "position 2 (entry {2}): the seal was changed, or one before it",
        ),
        (
            "UPDATE accounts_auditseal SET salts = '{{}}' WHERE position = 2",
            "position 2 (entry {2}): the entry was changed: actor_name was added later",
        ),
        (
            """UPDATE accounts_auditseal SET erased = '{{"object_name": "00"}}' WHERE position = 2""",
            "position 2 (entry {2}): the entry was changed: object_name has a value although it was erased",
        ),
        (
            """INSERT INTO accounts_auditseal (position, entry_id, record, digest, sealed_at, salts, erased)
            SELECT 4, 999, record, digest, now(), '{{}}', '{{}}' FROM accounts_auditseal WHERE position = 3""",
            "position 4 (entry 999): the seal was changed, or one before it",
        ),
    ],
)
def test_a_removed_swapped_or_forged_row_is_found(statement: str, expected: str) -> None:
    record(3)
    seal_entries()
    ids = {seal.position: seal.entry_id for seal in AuditSeal.objects.all()}
    places = [0, *(ids[position] for position in (1, 2, 3))]
    with without_triggers() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE accounts_auditseal DROP CONSTRAINT accounts_auditseal_entry_id_key")
        cursor.execute("ALTER TABLE accounts_auditentry DROP CONSTRAINT accounts_auditentry_pkey CASCADE")
        cursor.execute(statement.format(*places))
    assert problems()[0] == expected.format(*places)


def test_a_tail_that_was_cut_off_is_found_by_a_head_that_was_kept() -> None:
    record(5)
    seal_entries()
    kept = current_head()
    with without_triggers() as cursor:
        cursor.execute(
            "DELETE FROM accounts_auditentry WHERE id IN (SELECT entry_id FROM accounts_auditseal WHERE position > 3)"
        )
        cursor.execute("DELETE FROM accounts_auditseal WHERE position > 3")
    assert problems() == [], "the chain alone cannot know its end"
    assert problems(kept) == [f"position 5: missing; a head that was kept names {kept.digest.hex()}"]


def test_a_log_that_was_rewritten_as_a_whole_is_found_by_a_head_that_was_kept() -> None:
    record(3)
    seal_entries()
    kept = current_head()
    with without_triggers() as cursor:
        cursor.execute("DELETE FROM accounts_auditseal")
        cursor.execute("UPDATE accounts_auditentry SET verb = 'admired'")
    seal_entries()
    assert problems() == []
    assert problems(kept)[0].endswith(f"differs from a head that was kept: {kept.digest.hex()}")


def test_a_rewritten_seal_is_found_even_if_its_own_digest_fits() -> None:
    record(3)
    seal_entries()
    second = AuditSeal.objects.get(position=2)
    entry = AuditEntry.objects.get(pk=second.entry_id)
    entry.verb = "admired"
    changed = record_digest(entry, second.salts, {})
    first = bytes(AuditSeal.objects.get(position=1).digest)
    digest = chain_digest(2, first, second.sealed_at, changed)
    with without_triggers() as cursor:
        cursor.execute("UPDATE accounts_auditentry SET verb = 'admired' WHERE id = %s", [entry.pk])
        cursor.execute("UPDATE accounts_auditseal SET record = %s, digest = %s WHERE position = 2", [changed, digest])
    assert problems() == [
        f"position 3 (entry {AuditSeal.objects.get(position=3).entry_id}): the seal was changed, or one before it"
    ]


def test_an_entry_that_is_inserted_with_an_earlier_time_is_sealed_last_and_counted_as_late() -> None:
    record(2)
    seal_entries()
    AuditEntry.objects.create(
        actor_name="x", verb="x", object_type="x", object_id="1", at=timezone.now() - dt.timedelta(days=3)
    )
    seal_entries()
    result = verify_audit_log()
    assert (result.is_intact, result.sealed_late) == (True, 1)
    assert AuditSeal.objects.order_by("-position")[0].entry.verb == "x"


def test_a_clock_that_steps_back_breaks_nothing() -> None:
    record()
    seal_entries()
    AuditEntry.objects.create(
        actor_name="x", verb="x", object_type="x", object_id="1", at=timezone.now() + dt.timedelta(days=1)
    )
    record()
    seal_entries()
    assert verify_audit_log().is_intact


def test_a_time_that_nothing_could_read_is_refused() -> None:
    with (
        pytest.raises(DatabaseError, match="audit_time_is_plausible"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "INSERT INTO accounts_auditentry (at, actor_name, verb, object_type, object_id, object_name)"
            " VALUES ('infinity', '', '', '', '', '')"
        )


def test_an_entry_of_a_slow_transaction_is_sealed_after_those_that_were_faster() -> None:
    record(3)
    slow = AuditEntry.objects.order_by("pk")[1]
    with without_triggers() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE slow ON COMMIT DROP AS SELECT * FROM accounts_auditentry WHERE id = %s", [slow.pk]
        )
        cursor.execute("DELETE FROM accounts_auditentry WHERE id = %s", [slow.pk])
    assert seal_entries() == 2
    with as_owner() as cursor:
        cursor.execute("INSERT INTO accounts_auditentry SELECT * FROM slow")
    assert seal_entries() == 1
    assert AuditSeal.objects.get(position=3).entry_id == slow.pk
    assert verify_audit_log().is_intact


def test_an_entry_far_below_the_newest_is_sealed_by_the_thorough_run(monkeypatch: pytest.MonkeyPatch) -> None:
    record(3)
    monkeypatch.setattr(audit_seals, "RECENT", 2)
    first = AuditEntry.objects.order_by("pk")[0]
    with without_triggers():
        AuditSeal.objects.create(position=1, entry_id=first.pk + 2, record=b"", digest=b"", sealed_at=timezone.now())
    assert seal_entries() == 1
    assert seal_entries(everywhere=True) == 1


@pytest.mark.django_db(transaction=True)
def test_two_sealers_at_once_make_one_chain() -> None:
    record(200)
    barrier = threading.Barrier(4)
    sealed: list[int] = []

    def seal() -> None:
        try:
            barrier.wait(30)
            sealed.extend(seal_entries() for _ in range(5))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=seal) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    seal_entries()
    assert list(AuditSeal.objects.order_by("position").values_list("position", flat=True)) == list(range(1, 201))
    assert verify_audit_log().is_intact


@pytest.mark.django_db(transaction=True)
def test_a_sealer_that_is_killed_leaves_no_seal_and_no_lock() -> None:
    record(5)
    pids: list[int] = []

    def seal_and_die() -> None:
        """Seal, then end as a killed process does: the server closes the connection before the commit."""
        with pytest.raises(DatabaseError), transaction.atomic():  # noqa: PT012 - the last statement or the commit raises
            seal_entries()
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                pids.append(cursor.fetchone()[0])
            killed.set()
            gone.wait(30)
            AuditSeal.objects.count()
        connections.close_all()

    killed, gone = threading.Event(), threading.Event()
    thread = threading.Thread(target=seal_and_die)
    thread.start()
    assert killed.wait(30)
    assert seal_entries() == 0, "the other one holds the lock"
    with as_owner() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 10000)", pids)
    gone.set()
    thread.join(30)
    assert AuditSeal.objects.count() == 0
    assert seal_entries() == 5
    assert verify_audit_log().is_intact


@pytest.mark.django_db(transaction=True)
def test_changes_never_wait_for_the_sealer_or_for_each_other() -> None:
    record(3)
    done: list[int] = []

    def change() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '100ms'")
            record()
            done.append(1)
        finally:
            connections.close_all()

    with transaction.atomic():
        record()
        seal_entries()
        thread = threading.Thread(target=change)
        thread.start()
        thread.join(30)
    assert done == [1]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(value=st.none() | st.dictionaries(st.sampled_from(["a", "b", "", "ü/x"]), json_values))
def test_whatever_is_recorded_verifies_after_it_was_stored(value: Any) -> None:
    with transaction.atomic():
        audit.record(None, "changed", "thing", 1, before=value, after=value)
        seal_entries()
        assert verify_audit_log().is_intact
        transaction.set_rollback(True)


@pytest.mark.parametrize("value", [1.5, 1e300, 1e-7, -0.0, 100.0, 12345678901234567890])
def test_numbers_verify_after_they_were_stored(value: float) -> None:
    record(after={"value": value})
    seal_entries()
    assert verify_audit_log().is_intact


def test_equal_values_have_different_commitments() -> None:
    record(2, after={"email": "a@example.com"})
    first, second = AuditEntry.objects.order_by("pk")
    assert new_salts(first)["after/email"] != new_salts(second)["after/email"]
