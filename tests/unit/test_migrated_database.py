"""The kept copy of the migrated database: what it is made of, and what becomes of one that cannot be restored."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from tests import migrated_database
from tests.migrated_database import DIRECTORY, KEPT, MigratedCopy, files_digest


def test_a_copy_is_of_every_file_below_migrations_but_compiled_ones(tmp_path: Path) -> None:
    (tmp_path / "sql").mkdir()
    (tmp_path / "__pycache__").mkdir()
    found = {files_digest(tmp_path)}
    for name in ("0001.py", "events.sql", "sql/tallies.sql"):
        (tmp_path / name).write_text("one")
        found.add(files_digest(tmp_path))
    (tmp_path / "events.sql").write_text("other")
    found.add(files_digest(tmp_path))
    assert len(found) == 5
    (tmp_path / "__pycache__" / "0001.pyc").write_text("compiled")
    assert files_digest(tmp_path) in found


@pytest.mark.django_db
def test_a_copy_that_cannot_be_restored_is_deleted_and_made_anew_while_others_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DIRECTORY, str(tmp_path))
    monkeypatch.setitem(connection.settings_dict["TEST"], "TEMPLATE", None)
    copy = MigratedCopy()
    [lock] = tmp_path.glob("migrated-*.lock")
    broken = lock.with_suffix(".sql")
    broken.write_text("CREATE TABLE half (id int);\nnonsense;\n")

    with pytest.warns(UserWarning, match="nonsense"):
        copy.load()

    assert not broken.exists()
    assert connection.settings_dict["TEST"]["TEMPLATE"] is None
    with psycopg.connect(migrated_database._url("postgres")) as server:
        assert server.execute("SELECT 1 FROM pg_database WHERE datname = 'migrated'").fetchall() == []
    with lock.open("w") as other:
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        copy.release()
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.django_db
def test_a_copy_of_the_day_before_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DIRECTORY, str(tmp_path))
    monkeypatch.setitem(connection.settings_dict["TEST"], "TEMPLATE", None)
    restored: list[Path] = []

    def restore(file: Path) -> bool:
        restored.append(file)
        return True

    monkeypatch.setattr(migrated_database, "_restore", restore)
    for age, used in ((KEPT + 60, 0), (KEPT - 600, 1)):
        copy = MigratedCopy()
        file = next(tmp_path.glob("migrated-*.lock")).with_suffix(".sql")
        file.touch()
        os.utime(file, (time.time() - age,) * 2)
        copy.load()
        copy.release()
        assert len(restored) == used
