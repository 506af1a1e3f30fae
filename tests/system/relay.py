"""A relay between the portal and the socket of a service, that delays what the portal sends, or passes nothing on."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import Final

BLOCK: Final = 65_536


class Relay:
    """Listens in `directory` as the service would, and passes on to the socket of the same name in `server`."""

    def __init__(self, directory: Path, server: Path, name: str = ".s.PGSQL.5432") -> None:
        directory.mkdir()
        self.delay = 0.0
        """Seconds that each block on its way to the server waits."""
        self.passes = threading.Event()
        """While it is clear nothing gets through either way, and no connection ends: as with a dead switch."""
        self.passes.set()
        self.stop_at: bytes | None = None
        """Clear `passes` when the portal next sends this."""
        self._to = server / name
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / name))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(str(self._to))
                except OSError:
                    client.close()
                    continue
                for source, target, is_delayed in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass_on, args=(source, target, is_delayed), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_delayed: bool) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(BLOCK):
                if is_delayed and self.delay:
                    time.sleep(self.delay)
                if is_delayed and self.stop_at and self.stop_at in block:
                    self.stop_at = None
                    self.passes.clear()
                self.passes.wait()
                target.sendall(block)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
