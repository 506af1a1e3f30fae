"""PostgreSQL's own programs for dumps, with the connection of the settings."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, cast

from django.db import connection
from psycopg.conninfo import make_conninfo

from portal.backup.errors import BackupError
from portal.embedded.errors import EmbeddedError
from portal.embedded.postgres import find_binaries

ENDED_TABLES: Final = ("accounts_session", "accounts_onetimelink")
"""Their rows are not in a dump: what was ended or used since would be valid again where it is restored."""
DUMP: Final = (
    "--format=custom",
    "--no-owner",
    "--no-privileges",
    "--lock-wait-timeout=60s",
    *(f"--exclude-table-data={table}" for table in ENDED_TABLES),
)
"""Without owners and rights: the role that restores owns the tables, and grants anew."""
LOAD: Final = ("--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")

ADVICE: Final = {
    "permission denied": " With two roles it needs MIGRATION_DATABASE_URL.",
    "server version mismatch": ". Install PostgreSQL's client programs of the server's version, or set PG_BIN.",
}
"""By words of an error's, what to do."""


def start_dump() -> subprocess.Popen[bytes]:
    """Start to dump the database, in one snapshot, to the process's standard output."""
    return _start("pg_dump", *DUMP, stdout=subprocess.PIPE)


def load(dump: IO[bytes]) -> None:
    """Restore a dump into the empty database, in one transaction. Raises BackupError."""
    # Where reading the dump fails, the end of this block closes the pipe: pg_restore then commits nothing.
    with _start("pg_restore", *LOAD, stdin=subprocess.PIPE) as process:
        stdin = cast("IO[bytes]", process.stdin)
        with suppress(BrokenPipeError):  # it has failed; its status says so
            shutil.copyfileobj(dump, stdin, 1024 * 1024)
        with suppress(BrokenPipeError):
            stdin.close()
        finish(process, "pg_restore")


def finish(process: subprocess.Popen[bytes], name: str) -> None:
    """Wait for the program to end. Raises BackupError with its reason where it failed."""
    said = cast("IO[bytes]", process.stderr).read().decode(errors="replace").strip().splitlines()
    if process.wait():
        # The reason comes first, then the statement, which may have a thousand words.
        reason = next((line for line in said if "error: " in line), said[-1] if said else "")
        reason = reason.partition("error: ")[2] or reason or f"exit status {process.returncode}"
        versions = next((line.partition("detail: ")[2] for line in said if "detail: server version" in line), "")
        advice = next((text for words, text in ADVICE.items() if words in reason), "")
        raise BackupError(f"{name}: {reason}{f' ({versions})' if versions else ''}{advice}")


def _start(name: str, *options: str, **streams: Any) -> subprocess.Popen[bytes]:
    parameters = connection.get_connection_params()
    known = {key: str(value) for key, value in parameters.items() if key in _CONNINFO and value not in (None, "")}
    password = known.pop("password", None)
    # Not in the command line, which every user of the machine can read.
    env: Mapping[str, str] = {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}
    command = [_program(name), *options, "--no-password", "--dbname", make_conninfo("", **known)]
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, **streams)


def _program(name: str) -> str:
    """Return the path of a program: of PG_BIN, the embedded server, Debian's newest, or PATH, in that order."""
    with suppress(EmbeddedError):
        beside = find_binaries() / name
        if os.access(beside, os.X_OK):
            return str(beside)
    found = shutil.which(name)
    if found is None:
        raise BackupError(f"{name} was not found: install PostgreSQL's client programs, or set PG_BIN.")
    return str(Path(found))


_CONNINFO: Final = frozenset(
    {
        "dbname", "user", "password", "host", "port", "options", "sslmode", "sslrootcert", "sslcert", "sslkey",
        "target_session_attrs", "connect_timeout", "channel_binding", "gssencmode", "passfile", "service",
    }
)  # fmt: skip
"""Parameters of libpq's that a database's URL may set; Django adds others of its own."""
