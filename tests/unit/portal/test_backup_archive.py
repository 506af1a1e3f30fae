"""The file of a backup: whose it is, what is in it, and what is said when the disk is full."""

from __future__ import annotations

import datetime as dt
import errno
import io
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import OneTimeLink, User
from portal.backup import archive, tools
from portal.backup.archive import opened_dump, read_manifest, write_archive
from portal.backup.errors import BackupError

PASSPHRASE = "correct horse battery staple"
FACTS: dict[str, Any] = {"migrations": []}


def full_disk(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def replace_dump(monkeypatch: pytest.MonkeyPatch, *command: str) -> None:
    """Let a dump be what this command prints."""

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    monkeypatch.setattr(tools, "start_dump", start)


@pytest.fixture
def _dump(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dump of some bytes, without a database."""
    replace_dump(monkeypatch, "echo", "the dump")


@pytest.mark.usefixtures("_dump")
@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
def test_a_file_that_another_left_where_the_backup_is_written_does_not_make_it_readable(
    tmp_path: Path, passphrase: str
) -> None:
    left = tmp_path / "backup.partial"
    left.touch()
    left.chmod(0o666)

    write_archive(tmp_path / "backup", FACTS, passphrase, "key")

    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o600
    with opened_dump(tmp_path / "backup", read_manifest(tmp_path / "backup"), passphrase) as dump:
        assert dump.read() == b"the dump\n"


@pytest.mark.parametrize("size", [5, 500_000])
@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
def test_a_full_disk_is_named_however_long_the_dump_is_and_leaves_no_file(
    tmp_path: Path, passphrase: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 5 bytes all is written by age's last write, whose error pyrage hides."""
    write = zipfile._ZipWriteFile.write  # type: ignore[attr-defined]

    def until_full(file: Any, data: bytes) -> int:
        return full_disk() if file.name in (archive.DUMP, archive.SEALED_DUMP) else int(write(file, data))

    monkeypatch.setattr(zipfile._ZipWriteFile, "write", until_full)  # type: ignore[attr-defined]
    replace_dump(monkeypatch, "head", "--bytes", str(size), "/dev/zero")

    with pytest.raises(BackupError, match="No space left on device"):
        write_archive(tmp_path / "backup", FACTS, passphrase, "key")

    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("_dump")
def test_a_full_disk_is_not_called_a_wrong_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "backup"
    write_archive(file, FACTS, PASSPHRASE, "key")

    class Full:
        write = staticmethod(full_disk)

    with pytest.raises(BackupError, match="No space left on device"):
        archive._decrypt(*_stored(file), Full(), PASSPHRASE)  # type: ignore[arg-type]


def _stored(file: Path) -> tuple[bytes, Any]:
    opened = zipfile.ZipFile(file)
    return opened.read(archive.IDENTITY), opened.open(archive.SEALED_DUMP)


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_a_dump_holds_neither_sessions_nor_one_time_links(
    reader: User, client_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the owner of the tables: tests have the portal's role by an option of their connection.
    monkeypatch.setattr(tools, "_CONNINFO", tools._CONNINFO - {"options"})
    client_of(reader)
    later = timezone.now() + dt.timedelta(days=1)
    OneTimeLink.objects.create(user=reader, digest=b"x" * 32, expires_at=later)
    file = tmp_path / "backup"
    write_archive(file, FACTS, "", "key")

    with opened_dump(file, read_manifest(file), "") as dump:
        command = [tools._program("pg_restore"), "--file=-"]
        text = subprocess.run(command, input=dump.read(), capture_output=True, check=True).stdout.decode()

    assert reader.email in text
    assert "COPY public.accounts_user " in text
    assert not [name for name in tools.ENDED_TABLES if f"COPY public.{name} " in text]
    assert all(f"CREATE TABLE public.{name} " in text for name in tools.ENDED_TABLES)


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_a_program_that_fails_is_quoted_by_its_error_and_not_by_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(BackupError) as caught:
        write_archive(tmp_path / "backup", FACTS, "", "key")  # the portal's role may not read the tests' own schema

    assert "permission denied" in str(caught.value)
    assert len(str(caught.value)) < 200
    assert not list(tmp_path.iterdir())


def test_a_program_older_than_the_server_is_said_with_both_versions_and_what_to_do() -> None:
    script = (
        'echo "pg_dump: error: aborting because of server version mismatch" >&2;'
        ' echo "pg_dump: detail: server version: 18.3; pg_dump version: 15.5" >&2; exit 1'
    )
    with (
        subprocess.Popen(["sh", "-c", script], stderr=subprocess.PIPE) as process,
        pytest.raises(BackupError) as caught,
    ):
        tools.finish(process, "pg_dump")
    assert str(caught.value) == (
        "pg_dump: aborting because of server version mismatch (server version: 18.3; pg_dump version: 15.5)."
        " Install PostgreSQL's client programs of the server's version, or set PG_BIN."
    )


def test_a_dump_that_ends_early_is_said_to_be_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_dump(monkeypatch, "head", "--bytes", "200000", "/dev/zero")
    file = tmp_path / "backup"
    write_archive(file, FACTS, PASSPHRASE, "key")
    identity, stored = _stored(file)

    with pytest.raises(BackupError, match="cannot be decrypted"):
        archive._decrypt(identity, io.BytesIO(stored.read()[:-100]), io.BytesIO(), PASSPHRASE)
