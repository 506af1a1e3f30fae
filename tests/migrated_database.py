"""The migrated database, kept as SQL: migrations run once in a checkout, and not in each process that runs tests.

A copy is used only where the same migrations made it; `migrate` runs after it all the same, and grants and partitions
are those of now. Workers that start together wait for the first.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import time
import warnings
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
KEPT = 24 * 3600
"""Seconds after which a copy is made anew, since the rows that migrations date get older with it, and those for other
migrations are deleted: until then another branch may come back to its own.
"""


class MigratedCopy:
    """The copy for the migrations of this process, locked until it is there."""

    def __init__(self) -> None:
        directory = Path(os.environ.get(DIRECTORY) or Path(__file__).parents[1] / ".pytest_cache")
        directory.mkdir(parents=True, exist_ok=True)
        self._file = directory / f"migrated-{_key()}.sql"
        self._lock: IO[str] | None = self._file.with_suffix(".lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def load(self) -> None:
        """Let the test database be made of the copy, where there is one that can be restored."""
        while self._lock is not None and (found := _version(self._file)) is not None:
            fcntl.flock(self._lock, fcntl.LOCK_SH)  # several restore it at once, and none replaces it meanwhile
            if _restore(self._file):
                connection.settings_dict["TEST"]["TEMPLATE"] = TEMPLATE
                self.release()
                return
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            if _version(self._file) == found:  # else another process has made it anew
                self._file.unlink()

    def save(self) -> None:
        """Write the copy, where there was none, from the test database as migrations left it."""
        if self._lock is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)  # the cache may have been cleared
        partial = self._file.with_suffix(".new")
        _run("pg_dump", f"--file={partial}", _url(str(connection.settings_dict["NAME"])))
        for old in self._file.parent.glob("migrated-*.sql"):
            if old != self._file and _version(old) is None:
                old.unlink(missing_ok=True)  # another checkout with the same directory may delete it too
        partial.rename(self._file)
        self.release()

    def release(self) -> None:
        """Let the others go on, whether the copy is there or not."""
        if self._lock is not None:
            self._lock.close()
        self._lock = None


def _version(file: Path) -> tuple[int, int] | None:
    """Return what tells this file from one that replaced it; None where there is none, or only one past KEPT."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return (found.st_ino, found.st_mtime_ns) if time.time() - found.st_mtime <= KEPT else None


def _key() -> str:
    """Return a digest of what migrations make the database of."""
    found = hashlib.sha256(f"{django.VERSION} {find_binaries()} {digest(default_document())}".encode())
    for app in sorted(apps.get_app_configs(), key=lambda each: each.name):
        found.update(f"{app.name} {files_digest(Path(app.path, 'migrations'))}\0".encode())
    return found.hexdigest()[:16]


def files_digest(directory: Path) -> str:
    """Return a digest of all files below a directory, SQL that migrations read as well, but what Python compiled."""
    found = hashlib.sha256()
    for file in sorted(directory.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            found.update(f"{file.relative_to(directory)} {content}\0".encode())
    return found.hexdigest()


def _restore(file: Path) -> bool:
    """Make the template of a copy; return whether that worked, and leave none where it did not."""
    with psycopg.connect(_url("postgres"), autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {TEMPLATE}")
        server.execute(f"CREATE DATABASE {TEMPLATE}")
        try:
            _run("psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={file}", _url(TEMPLATE))
        except AssertionError as error:
            warnings.warn(f"The copy of the migrated database is made anew: {error}", stacklevel=2)
            server.execute(f"DROP DATABASE {TEMPLATE}")
            return False
    return True


def _url(database: str) -> str:
    owner = settings.DATABASE_OWNER
    assert owner is not None
    return f"postgresql://{owner['USER']}@/{database}?host={owner['HOST']}"


def _run(program: str, *arguments: str) -> None:
    done = subprocess.run([find_binaries() / program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
