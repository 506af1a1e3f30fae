"""Migrations that never hold up the portal: each waits a second for a lock, and is tried again.

`ALTER TABLE` takes a moment, but while it waits behind a long query every request waits behind it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from django.core.management.base import CommandError
from django.db import OperationalError
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from psycopg.errors import LockNotAvailable

LOCK_TIMEOUT: Final = "1s"
"""What needs the same table waits behind the migration for as long: no request takes over two seconds."""
ATTEMPTS: Final = 30
PAUSE: Final = 4.0
"""Seconds between two attempts, in which what waited behind the migration is served. In all they last longer than
most queries and backtests."""


class LockTimeoutExecutor(MigrationExecutor):
    """Applies each migration that is one transaction with a lock timeout, up to ATTEMPTS times.

    Migrations with `atomic = False` are left alone: their statements wait for transactions without blocking any
    (`CREATE INDEX CONCURRENTLY`), and could not be repeated from the start.
    """

    def apply_migration(self, state: Any, migration: Migration, fake: bool = False, fake_initial: bool = False) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        return self._patiently(
            migration,
            lambda: super(LockTimeoutExecutor, self).apply_migration(state.clone(), migration, fake, fake_initial),
        )

    def unapply_migration(self, state: Any, migration: Migration, fake: bool = False) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        return self._patiently(
            migration, lambda: super(LockTimeoutExecutor, self).unapply_migration(state.clone(), migration, fake)
        )

    def _patiently(self, migration: Migration, apply: Callable[[], Any]) -> Any:
        if not migration.atomic:
            return apply()
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(PAUSE)
            self._set(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
            try:
                return apply()
            except OperationalError as error:
                if not isinstance(error.__cause__, LockNotAvailable):
                    raise
            finally:
                self._set("RESET lock_timeout")
        raise CommandError(
            f"{migration.app_label} {migration.name} did not get its locks within {ATTEMPTS} × {LOCK_TIMEOUT}: another"
            " transaction holds them (pg_stat_activity). Nothing of it was applied; run this again."
        )

    def _set(self, statement: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
