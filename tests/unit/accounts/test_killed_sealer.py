"""A sealer that dies in the middle of a chunk leaves no seal and no lock."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from django.db import connection

from accounts.actions.audit_seals import CHUNK, seal_entries
from accounts.models import AuditEntry, AuditSeal
from accounts.queries.audit_verification import verify_audit_log
from tests.database import as_owner, without_triggers

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True), pytest.mark.serial]
ROOT = Path(__file__).resolve().parents[3]
WAITS_TO_INSERT = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
AND query LIKE 'INSERT INTO "accounts_auditseal"%'
"""


def url() -> str:
    values = connection.settings_dict
    return f"postgresql://{values['USER']}@/{values['NAME']}?host={quote(str(values['HOST']), safe='')}"


def wait_until(holds: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(("entries", "waits_at", "kept"), [(5, 3, 0), (CHUNK + 5, CHUNK + 3, CHUNK)])
def test_kill_9_while_sealing_loses_nothing_and_the_next_sealer_goes_on(entries: int, waits_at: int, kept: int) -> None:
    AuditEntry.objects.bulk_create(
        AuditEntry(verb="changed", object_type="thing", object_id=str(number)) for number in range(entries)
    )
    with psycopg.connect(url()) as rival:
        # The process that dies waits in the middle of a chunk, for a position that somebody else is inserting.
        _switch_trigger("DISABLE")
        try:
            rival.execute(
                "INSERT INTO accounts_auditseal (position, entry_id, record, digest, sealed_at, salts, erased)"
                " VALUES (%s, 987654, '', '', now(), '{}', '{}')",
                [waits_at],
            )
            sealer = subprocess.Popen(
                [sys.executable, "manage.py", "audit", "seal"],
                cwd=ROOT,
                env={**os.environ, "DATABASE_URL": url(), "MIGRATION_DATABASE_URL": ""},
                stdout=subprocess.PIPE,
            )
            try:
                wait_until(lambda: _count(WAITS_TO_INSERT) == 1)
                assert seal_entries() == 0, "the other one holds the lock"
            finally:
                sealer.kill()
                sealer.wait(30)
            assert sealer.stdout is not None
            assert sealer.stdout.read() == b""
            rival.rollback()
            wait_until(lambda: _count(WAITS_TO_INSERT) == 0)
        finally:
            rival.rollback()
            _switch_trigger("ENABLE")
    assert AuditSeal.objects.count() == kept
    assert verify_audit_log().is_intact
    # PostgreSQL gives the lock back once it notices that the killed process is gone.
    wait_until(lambda: seal_entries() == entries - kept)
    assert AuditSeal.objects.count() == entries
    assert verify_audit_log().is_intact


def _switch_trigger(how: str) -> None:
    with without_triggers() as cursor:
        cursor.execute(f"ALTER TABLE accounts_auditseal {how} TRIGGER seals_follow_each_other")


def _count(statement: str) -> int:
    with as_owner() as cursor:
        cursor.execute(statement)
        return int(cursor.fetchone()[0])
