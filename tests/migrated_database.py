"""The migrated database, kept as SQL: migrations run once in a checkout, and not in each process that runs tests.

A copy is used only where the same migrations made it; `migrate` runs after it all the same, and grants and partitions
are those of now. Workers that start together wait for the first.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from pathlib import Path
from typing import IO

import django
import psycopg
from django.apps import apps
from django.conf import settings
from django.db import connection

from portal.embedded.postgres import find_binaries
from sensor.policy import default_document, digest

TEMPLATE = "migrated"
DIRECTORY = "DRIFTWATCH_TEST_COPIES"
"""Environment variable that names another directory for the copies than that of this checkout."""


class MigratedCopy:
    """The copy for the migrations of this process, locked until it is there."""

    def __init__(self) -> None:
        directory = Path(os.environ.get(DIRECTORY) or Path(__file__).parents[1] / ".pytest_cache")
        directory.mkdir(parents=True, exist_ok=True)
        self._file = directory / f"migrated-{_key()}.sql"
        self._lock: IO[str] | None = self._file.with_suffix(".lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def load(self) -> None:
        """Let the test database be made of the copy, where there is one."""
        if not self._file.exists():
            return
        self._unlock()
        with psycopg.connect(_url("postgres"), autocommit=True) as server:
            server.execute(f"CREATE DATABASE {TEMPLATE}")
        _run("psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={self._file}", _url(TEMPLATE))
        connection.settings_dict["TEST"]["TEMPLATE"] = TEMPLATE

    def save(self) -> None:
        """Write the copy, where there was none, from the test database as migrations left it."""
        if self._lock is None:
            return
        partial = self._file.with_suffix(".new")
        _run("pg_dump", f"--file={partial}", _url(str(connection.settings_dict["NAME"])))
        for old in self._file.parent.glob("migrated-*.sql"):
            old.unlink()
        partial.rename(self._file)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
        self._lock = None


def _key() -> str:
    """Return a digest of what migrations make the database of."""
    found = hashlib.sha256(f"{django.VERSION} {find_binaries()} {digest(default_document())}".encode())
    for app in sorted(apps.get_app_configs(), key=lambda each: each.name):
        for file in sorted(Path(app.path, "migrations").glob("*.py")):
            found.update(f"{app.name} {file.name}\0".encode() + file.read_bytes())
    return found.hexdigest()[:16]


def _url(database: str) -> str:
    owner = settings.DATABASE_OWNER
    assert owner is not None
    return f"postgresql://{owner['USER']}@/{database}?host={owner['HOST']}"


def _run(program: str, *arguments: str) -> None:
    done = subprocess.run([find_binaries() / program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
