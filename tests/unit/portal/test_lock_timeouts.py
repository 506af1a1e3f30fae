"""No migration makes requests wait for long behind its locks."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pytest
from django.core.management import CommandError
from django.db import connection, migrations
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from accounts.database_roles import as_database_owner
from portal.management import lock_timeouts

ROOT = Path(__file__).resolve().parents[3]
OWN_LOCKS = re.compile(r"CONCURRENTLY|(Add|Remove)IndexConcurrently|SET lock_timeout|DO \$\$")
"""What a migration outside of a transaction may do: it waits without blocking others, or bounds its waits itself."""
TABLES = "SELECT count(*) FROM pg_class WHERE relname = 'patience'"
DROP = "ALTER TABLE alerts_savedview DROP COLUMN patience"


def ours() -> list[migrations.Migration]:
    found = MigrationLoader(None).disk_migrations.values()
    return [each for each in found if each.__module__.startswith(("accounts.", "drift."))]


def test_a_migration_outside_of_a_transaction_takes_no_lock_for_which_others_wait_long() -> None:
    outside = [each for each in ours() if not each.atomic]
    assert outside
    for each in outside:
        source = (ROOT / f"{each.__module__.replace('.', '/')}.py").read_text()
        assert OWN_LOCKS.search(source), each


class Step(migrations.Migration):
    operations: ClassVar = [
        migrations.RunSQL("CREATE TABLE patience (shown text)", "DROP TABLE patience"),
        migrations.RunSQL("INSERT INTO patience SELECT current_setting('lock_timeout')", migrations.RunSQL.noop),
        migrations.RunSQL("ALTER TABLE alerts_savedview ADD COLUMN patience int", DROP),
    ]


@pytest.fixture
def applied() -> Any:
    """Apply Step as `manage.py migrate` does, and undo it."""
    done: list[Callable[[], Any]] = []

    def apply() -> None:
        executor = lock_timeouts.LockTimeoutExecutor(connection)
        step = Step("patience", "alerts")
        # The flush after another test has set the sequence of its table back.
        executor.recorder.record_applied = lambda app, name: None  # type: ignore[method-assign]
        state = executor.loader.project_state(("alerts", "0001_initial"))
        executor.apply_migration(state, step)
        done.append(lambda: MigrationExecutor(connection).unapply_migration(state, step))

    with as_database_owner():
        yield apply
        for undo in done:
            undo()


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_each_migration_has_a_lock_timeout_and_the_next_statement_none(applied: Callable[[], None]) -> None:
    applied()
    with connection.cursor() as cursor:
        cursor.execute("SELECT shown, current_setting('lock_timeout') FROM patience")
        assert cursor.fetchone() == ("1s", "0")


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_a_migration_that_meets_a_lock_lets_others_pass_and_is_tried_again(
    applied: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_timeouts, "LOCK_TIMEOUT", "200ms")
    tried: list[float] = []
    monkeypatch.setattr(time, "sleep", tried.append)
    parameters = connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}
    with psycopg.connect(**parameters) as holder:
        holder.execute("LOCK TABLE alerts_savedview IN ACCESS SHARE MODE")
        with pytest.raises(CommandError, match=r"alerts patience did not get its locks within 30 × 200ms"):
            applied()
        assert len(tried) == lock_timeouts.ATTEMPTS - 1
        with connection.cursor() as cursor:
            cursor.execute(TABLES)
            assert cursor.fetchone() == (0,)
        # Released while it waits: the next attempt succeeds.
        monkeypatch.setattr(time, "sleep", lambda _: holder.rollback())
        applied()


def test_the_command_uses_it() -> None:
    import_module("portal.management.commands.migrate")
    command = import_module("django.core.management.commands.migrate")
    assert command.MigrationExecutor is lock_timeouts.LockTimeoutExecutor
