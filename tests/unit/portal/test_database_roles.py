"""The portal's database role can do what the portal needs, and nothing else (docs/operators.md#two-database-roles)."""

from __future__ import annotations

import datetime as dt
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from django.core import checks
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.database_roles import require_same_database
from accounts.models import AuditEntry
from accounts.queries.storage_warnings import role_problems
from drift.alerts.domain.event_table import partition_name
from portal import database_grants
from portal.checks import database_role
from portal.embedded.postgres import PORTAL_ROLE
from portal.management.commands import restore
from tests.database import as_owner

pytestmark = [pytest.mark.services, pytest.mark.django_db]

ROOT = Path(__file__).resolve().parents[3]

REFUSED = [
    "ALTER TABLE accounts_auditentry DISABLE TRIGGER ALL",
    "ALTER TABLE accounts_auditentry DISABLE TRIGGER audit_is_append_only",
    "DROP TRIGGER audit_is_append_only ON accounts_auditentry",
    "CREATE TRIGGER mine BEFORE INSERT ON accounts_auditentry EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE RULE mine AS ON INSERT TO accounts_auditentry DO INSTEAD NOTHING",
    "UPDATE accounts_auditentry SET verb = 'x'",
    "UPDATE accounts_auditentry SET address = ''",
    "DELETE FROM accounts_auditentry",
    "TRUNCATE accounts_auditentry CASCADE",
    "SELECT * FROM accounts_auditentry FOR UPDATE",
    "INSERT INTO accounts_auditentry (id) VALUES (9223372036854775807)",
    "UPDATE accounts_auditseal SET salts = '{}'",
    "DELETE FROM accounts_auditseal",
    "UPDATE policy_policyversion SET comment = 'x'",
    "DELETE FROM policy_policyversion",
    "UPDATE alerts_alertactivity SET text = 'x'",
    "DELETE FROM alerts_driftevent",
    "UPDATE alerts_driftevent SET count = 1",
    "TRUNCATE alerts_driftevent",
    "TRUNCATE accounts_user CASCADE",
    "DROP TABLE accounts_user CASCADE",
    "ALTER TABLE accounts_user ADD COLUMN x int",
    "ALTER TABLE accounts_user OWNER TO CURRENT_USER",
    "ALTER TABLE accounts_user RENAME TO x",
    "CREATE INDEX ON accounts_user (name)",
    "CREATE TABLE mine (x int)",
    "CREATE TABLE public.mine (x int)",
    "CREATE SCHEMA mine",
    "CREATE VIEW mine AS SELECT 1",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION accounts_guard_audit_entry() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
    "ALTER FUNCTION alerts_drop_partition(date) SECURITY INVOKER",
    "CREATE EXTENSION dblink",
    "CREATE ROLE mine SUPERUSER",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "GRANT driftwatch TO CURRENT_USER",
    "SET ROLE driftwatch",
    "SET SESSION AUTHORIZATION driftwatch",
    "SET session_replication_role = replica",
    "ALTER DATABASE {database} SET search_path = pg_temp",
    "ALTER SYSTEM SET fsync = off",
    "DROP DATABASE {database}",
    "CREATE DATABASE mine",
    "COPY accounts_user TO '/tmp/x'",
    "COPY accounts_user TO PROGRAM 'cat'",
    "COPY accounts_auditentry FROM '/etc/passwd'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT * FROM pg_authid",
    "SELECT pg_reload_conf()",
    "SELECT setval('accounts_auditentry_id_seq', 1)",
    "INSERT INTO django_migrations (app, name, applied) VALUES ('x', 'x', now())",
    "DELETE FROM django_migrations",
    "BEGIN; LOCK TABLE accounts_auditentry IN ACCESS EXCLUSIVE MODE",
    "DO $$ BEGIN EXECUTE 'DROP TABLE accounts_user CASCADE'; END $$",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'driftwatch' AND pid <> pg_backend_pid()",
]


def url(role: str = PORTAL_ROLE, database: str = "") -> str:
    """A connection of its own, as the role itself and not by SET ROLE."""
    name = database or connection.settings_dict["NAME"]
    return f"postgresql://{role}@/{name}?host={quote(connection.settings_dict['HOST'], safe='')}"


@pytest.fixture
def portal() -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url(), autocommit=True) as found:
        yield found


@pytest.mark.parametrize("statement", REFUSED)
def test_the_portal_s_role_is_refused(statement: str, portal: psycopg.Connection[Any]) -> None:
    text = statement.replace("{database}", connection.settings_dict["NAME"])
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        portal.execute(text)


def test_tests_run_as_the_portal_s_role() -> None:
    assert database_grants.current_role() == PORTAL_ROLE
    assert role_problems() == []


def test_every_table_is_granted_and_none_more_than_rows(portal: psycopg.Connection[Any]) -> None:
    rows = portal.execute(
        "SELECT relname, has_table_privilege(oid, 'SELECT'), has_table_privilege(oid, 'TRUNCATE, REFERENCES, TRIGGER')"
        " FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')"
        " AND NOT relispartition"
    ).fetchall()
    assert len(rows) > 40
    assert [name for name, reads, _ in rows if not reads] == []
    assert [name for name, _, more in rows if more] == []


def test_a_partition_is_not_reached_but_through_its_table(portal: psycopg.Connection[Any]) -> None:
    today = partition_name(dt.datetime.now(dt.UTC).date())
    for statement in (f"SELECT * FROM {today}", f"DELETE FROM {today}", f"DROP TABLE {today}"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            portal.execute(statement)
    portal.execute("SELECT count(*) FROM alerts_driftevent")


def test_the_role_may_create_temporary_tables(portal: psycopg.Connection[Any]) -> None:
    portal.execute("CREATE TEMPORARY TABLE staged (x int); INSERT INTO staged VALUES (1)")


class TestFunctionsOfTheOwner:
    @pytest.mark.parametrize(
        "day",
        [
            "NULL", "'infinity'", "'-infinity'", "current_date + 40", "'9999-12-31'", "'0001-01-01'", "'0044-03-15 BC'",
            "current_date - 4000",
        ],
    )  # fmt: skip
    def test_a_day_out_of_range_is_refused(self, day: str, portal: psycopg.Connection[Any]) -> None:
        with pytest.raises(psycopg.errors.CheckViolation):
            portal.execute(f"SELECT alerts_create_partition({day})")

    @pytest.mark.parametrize("day", ["NULL", "'infinity'", "current_date + 1", "(now() AT TIME ZONE 'UTC')::date"])
    def test_today_and_the_future_are_not_dropped(self, day: str, portal: psycopg.Connection[Any]) -> None:
        for zone in ("UTC", "Etc/GMT-14", "Etc/GMT+12"):
            portal.execute(f"SET timezone = '{zone}'")
            with pytest.raises(psycopg.errors.CheckViolation):
                portal.execute(f"SELECT alerts_drop_partition({day})")

    @pytest.mark.parametrize("name", ["accounts_user", "x'; DROP TABLE accounts_user; --", "20260101; DROP TABLE x"])
    def test_a_name_is_not_a_day(self, name: str, portal: psycopg.Connection[Any]) -> None:
        with pytest.raises(psycopg.errors.InvalidDatetimeFormat):
            portal.execute("SELECT alerts_drop_partition(%s)", [name])

    def test_a_day_without_a_partition_is_nothing_to_drop(self, portal: psycopg.Connection[Any]) -> None:
        assert portal.execute("SELECT alerts_drop_partition('2001-01-01')").fetchone() == (False,)

    def test_a_table_that_looks_like_a_partition_is_not_dropped(self) -> None:
        with as_owner() as cursor:
            cursor.execute("CREATE TABLE alerts_driftevent_20010101 (x int)")
            cursor.execute("SELECT alerts_drop_partition('2001-01-01')")
            assert cursor.fetchone() == (False,)

    def test_hostile_temporary_tables_functions_and_search_path_lead_nowhere(
        self, portal: psycopg.Connection[Any]
    ) -> None:
        portal.execute("CREATE TEMPORARY TABLE alerts_driftevent (x int)")
        portal.execute("CREATE TEMPORARY TABLE pg_inherits (inhparent oid, inhrelid oid)")
        portal.execute(
            "CREATE TEMPORARY TABLE accounts_auditseal (entry_id bigint, position bigint, sealed_at timestamptz)"
        )
        portal.execute("INSERT INTO pg_temp.accounts_auditseal SELECT id, id, '2020-01-01' FROM accounts_auditentry")
        portal.execute(
            "CREATE FUNCTION pg_temp.to_char(date, text) RETURNS text LANGUAGE sql AS $$ SELECT '; DROP TABLE x' $$"
        )
        portal.execute("SET search_path = pg_temp, public")
        portal.execute("SET datestyle = 'SQL, DMY'")
        day = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=20)
        assert portal.execute("SELECT public.alerts_create_partition(%s)", [day]).fetchone() == (True,)
        bounds = portal.execute(
            "SELECT pg_get_expr(relpartbound, oid) FROM pg_catalog.pg_class WHERE relname = %s", [partition_name(day)]
        ).fetchone()
        assert bounds == (f"FOR VALUES FROM ('{day:%d/%m/%Y}') TO ('{day + dt.timedelta(days=1):%d/%m/%Y}')",)
        assert portal.execute(
            "SELECT public.accounts_expire_audit_entries(pg_catalog.now() - interval '91 days', 1000)"
        ).fetchone() == (0,)
        with as_owner() as cursor:
            cursor.execute(f"DROP TABLE {partition_name(day)}")

    @pytest.mark.parametrize(
        "call",
        [
            "accounts_expire_audit_entries(now() - interval '89 days', 10)",
            "accounts_expire_audit_entries(now() + interval '1 day', 10)",
            "accounts_expire_audit_entries('infinity', 10)",
            "accounts_expire_audit_entries(NULL, 10)",
            "accounts_expire_audit_addresses(now() - interval '6 days', 10)",
            "accounts_expire_audit_addresses('infinity', 10)",
            "accounts_expire_audit_addresses(NULL, 10)",
        ],
    )
    def test_recent_entries_do_not_expire(self, call: str, portal: psycopg.Connection[Any]) -> None:
        with pytest.raises(psycopg.errors.CheckViolation):
            portal.execute(f"SELECT {call}")

    def test_a_stranger_may_call_none_of_them(self) -> None:
        with as_owner() as cursor:
            cursor.execute("CREATE ROLE stranger LOGIN")
            cursor.execute(
                "SELECT oid::regprocedure::text FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
            )
            functions = [name for (name,) in cursor.fetchall()]
            assert len(functions) == 5
            cursor.execute(
                "SELECT has_function_privilege('stranger', f, 'EXECUTE') FROM unnest(%s::text[]) AS f", [functions]
            )
            assert set(cursor.fetchall()) == {(False,)}
            cursor.execute(
                "SELECT count(*) FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
                " AND NOT array_to_string(proconfig, ',') LIKE 'search_path=pg_catalog, public, pg_temp%'"
            )
            assert cursor.fetchone() == (0,)


def test_the_deployment_check_warns_of_a_role_that_owns_the_tables() -> None:
    assert database_role() == []
    with as_owner():
        texts = [str(found.msg) for found in database_role()]
    assert texts[0] == "The portal's database role: it is a superuser."
    assert all(found.level == checks.WARNING for found in database_role())
    assert any("owns the tables" in text for text in texts)


def _documented_sql() -> list[str]:
    """The statements of docs/operators.md for one's own server: as a superuser, and in the new database."""
    section = (ROOT / "docs/operators.md").read_text().split("## Two database roles")[1].split("\n## ")[0]
    return re.findall(r"```sql\n(.*?)```", section, re.DOTALL)


def _manage(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", *args]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=300
    )


OLD_ROWS = """
INSERT INTO accounts_user (password, email, name, role, is_active, must_change_password, created_at)
VALUES ('', 'owner@example.com', 'Owner', 'owner', true, false, now());
INSERT INTO accounts_auditentry (at, actor_name, verb, object_type, object_id, object_name, after) VALUES
    (now() - interval '40 days', 'somebody', 'failed to sign in as', 'user', '', 'hunter2', NULL),
    (now() - interval '40 days', 'somebody', 'failed to sign in as', 'user', '', 'Owner@example.com', NULL),
    (now() - interval '39 days', 'owner@example.com', 'saved', 'policy', '2', 'Policy v2', '{"rules": [1.50]}');
CREATE TABLE django_session (session_key varchar(40) PRIMARY KEY, session_data text, expire_date timestamptz);
INSERT INTO django_session VALUES ('a live key', '', now() + interval '1 hour');
"""
RELEASE_0_2 = (
    "accounts 0002",
    "policy 0004",
    "notify 0002",
    "fleet 0010",
    "alerts 0014",
    "backtest 0001",
)


def test_a_database_of_0_2_0_is_upgraded_to_two_roles_and_verifies() -> None:
    """As docs/operators.md describes it: the old role becomes the owner; the portal's role is new."""
    server, database = _documented_sql()
    names = {
        "driftwatch_owner": "old_owner",
        "driftwatch_portal": "new_portal",
        "DATABASE driftwatch": "DATABASE upgraded",
    }
    for name, ours in names.items():
        server, database = server.replace(name, ours), database.replace(name, ours)
    owner, portal = url("old_owner", "upgraded"), url("new_portal", "upgraded")
    with psycopg.connect(url("driftwatch", "postgres"), autocommit=True) as superuser:
        for statement in filter(None, map(str.strip, server.split(";"))):
            superuser.execute(statement)
        with psycopg.connect(url("driftwatch", "upgraded"), autocommit=True) as inside:
            inside.execute(database)
        try:
            one_role = {"DATABASE_URL": owner, "MIGRATION_DATABASE_URL": ""}
            for target in RELEASE_0_2:
                done = _manage("migrate", *target.split(), **one_role)
                assert done.returncode == 0, done.stderr
            with psycopg.connect(owner) as rows:
                rows.execute(OLD_ROWS)
            done = _manage("migrate", DATABASE_URL=portal, MIGRATION_DATABASE_URL=owner)
            assert (done.returncode, done.stderr) == (0, "")
            sealed = _manage("audit", "seal", DATABASE_URL=portal, MIGRATION_DATABASE_URL="")
            verified = _manage("audit", "verify", DATABASE_URL=portal, MIGRATION_DATABASE_URL="")
            assert sealed.stdout.strip() == "3 entries sealed"
            assert verified.stdout.startswith("intact: 3 entries")
            assert "3 entries were sealed more than an hour" in verified.stdout
            with psycopg.connect(portal) as rows:
                with psycopg.connect(owner) as as_owner:
                    assert as_owner.execute("SELECT count(*) FROM django_session").fetchone() == (0,)
                kept = rows.execute("SELECT object_name FROM accounts_auditentry ORDER BY id").fetchall()
                assert kept == [("",), ("Owner@example.com",), ("Policy v2",)]
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    rows.execute("DELETE FROM accounts_auditentry")
            again = _manage("migrate", **one_role)
            assert again.returncode == 0
            assert "database roles: the portal's is not limited: it owns the tables" in again.stderr
            refused = _manage("migrate", "alerts", "zero", DATABASE_URL=portal, MIGRATION_DATABASE_URL="")
            assert refused.returncode != 0
        finally:
            superuser.execute("DROP DATABASE upgraded WITH (FORCE)")
            superuser.execute("DROP ROLE old_owner")
            superuser.execute("DROP ROLE new_portal")


def test_a_second_role_for_another_database_is_refused() -> None:
    done = _manage("check", DATABASE_URL="postgresql://a@/one", MIGRATION_DATABASE_URL="postgresql://b@/two")
    assert done.returncode != 0
    assert "must name the same database" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "words",
    [
        ("migrate",),
        ("backup", "/not/written"),
        ("restore", str(ROOT / "pyproject.toml")),
        ("audit", "erase", "--user", "a@example.com", "--as", "b@example.com"),
    ],
)
def test_a_second_role_for_a_database_of_the_same_name_elsewhere_changes_nothing(
    words: tuple[str, ...], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That names differ is seen at once; which database a server's name leads to, only there."""
    owner = settings.DATABASE_OWNER
    settings.DATABASE_OWNER = {**owner, "OPTIONS": {**owner["OPTIONS"], "dbname": "postgres"}}
    monkeypatch.setattr(restore, "read_manifest", lambda *given: {"encrypted": False})
    monkeypatch.setattr(restore, "is_signed", lambda *given: True)
    before = AuditEntry.objects.count()
    with pytest.raises(CommandError, match="MIGRATION_DATABASE_URL and DATABASE_URL lead to different databases"):
        call_command(*words)
    assert AuditEntry.objects.count() == before


def test_two_roles_of_one_database_are_seen_as_that() -> None:
    require_same_database()
