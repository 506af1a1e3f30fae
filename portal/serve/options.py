"""Options of a run: PORT, DATA_DIR, demo or not; and the lock on DATA_DIR."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from portal.embedded.errors import EmbeddedError

MAX_SOCKET_DIRECTORY = 80
"""A Unix socket's path has 107 bytes at most; PostgreSQL adds `/.s.PGSQL.5432`."""


@dataclass(frozen=True)
class ServeOptions:
    """The data directory, the ports, and what to start."""

    data: Path
    port: int
    gateway: socket.socket
    """Holds the push gateway's port (held_port)."""
    demo: bool
    sensors: bool
    reload: bool

    @property
    def gateway_port(self) -> int:
        return int(self.gateway.getsockname()[1])

    @property
    def url(self) -> str:
        return os.environ.get("PUBLIC_URL") or f"http://127.0.0.1:{self.port}"

    @property
    def credentials_file(self) -> Path:
        return self.data / ("demo-credentials.json" if self.demo else "first-owner.json")


def read_options(*, demo: bool, sensors: bool, reload: bool) -> ServeOptions:
    """Read PORT and DATA_DIR. Raises EmbeddedError with one clear line."""
    data = Path(os.environ.get("DATA_DIR") or ".data").expanduser().resolve()
    text = os.environ.get("PORT") or "8000"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise EmbeddedError(f"PORT must be a number from 1 to 65535, not {text!r}.")
    port = int(text)
    if not _is_free(port):
        raise EmbeddedError(
            f"Port {port} is in use. Choose another: PORT={port + 1000} make {'demo' if demo else 'run'}"
        )
    return ServeOptions(data, port, held_port(), demo, sensors, reload)


def lock(data: Path) -> IO[str]:
    """Lock DATA_DIR for this run. Raises EmbeddedError if another run has it."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (data / "lock").open("a+")
    except OSError as error:
        raise EmbeddedError(f"DATA_DIR {data} cannot be used: {error.strerror}.") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise EmbeddedError(f"{data} is in use by another Driftwatch. Choose another: DATA_DIR=…") from None
    return file


def socket_directory(data: Path) -> Path:
    """Return a directory for Unix sockets with a short path, closed to other users."""
    directory = data / "run"
    if len(os.fsencode(directory)) > MAX_SOCKET_DIRECTORY:
        return Path(tempfile.mkdtemp(prefix="driftwatch-"))
    directory.mkdir(mode=0o700, exist_ok=True)
    directory.chmod(0o700)
    return directory


def secret_key(data: Path) -> str:
    """Return the embedded mode's SECRET_KEY: generated once, kept in DATA_DIR with mode 0600."""
    file = data / "secret-key"
    if not file.exists():
        write_private(file, secrets.token_urlsafe(48))
    return file.read_text().strip()


def write_private(file: Path, text: str) -> None:
    """Write a file atomically that only its owner can read."""
    partial = file.with_name(file.name + ".new")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
    partial.replace(file)


def read_json(file: Path) -> dict[str, Any] | None:
    """Return the object in `file`, or None if there is no such file."""
    return json.loads(file.read_text()) if file.exists() else None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def held_port() -> socket.socket:
    """Return a socket that reserves a loopback port, while it is open, for a server of ours."""
    # The server can bind the same port because both set SO_REUSEADDR and this socket does not listen. An outgoing
    # connection, whose port the kernel picks from the same range, never gets it, not even while the server restarts.
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder
