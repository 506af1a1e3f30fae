"""A syslog receiver: octet counting over TCP or TLS, on a port of its own."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

from cryptography import x509

from tests.certificates import self_signed

HEADER = re.compile(rb"<(\d+)>1 (\S+) (\S+) driftwatch - (\w+) - ")


class Receiver:
    """Stores each message once it has read it whole, and closes when the sender has ended."""

    def __init__(self, context: ssl.SSLContext | None = None, *, notifies: bool = True) -> None:
        self.messages: list[bytes] = []
        self.connections = 0
        self._context, self._notifies = context, notifies
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def records(self) -> list[dict[str, Any]]:
        """The JSON of every message, in the order of arrival."""
        return [json.loads(message[HEADER.match(message).end() :]) for message in self.messages]  # type: ignore[union-attr]

    def close(self) -> None:
        # Wakes the thread that accepts, which close alone would not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            stored, rest = 0, b""
            while data := connection.recv(65_536):
                messages, rest = frames(rest + data)
                self.messages += messages
                stored += len(messages)
            if isinstance(connection, ssl.SSLSocket) and self._notifies:
                connection = connection.unwrap()
        connection.close()


def frames(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole messages of a stream of `LENGTH SP MESSAGE`, and what is left of it."""
    found = []
    while (space := data.find(b" ")) > 0:
        end = space + 1 + int(data[:space])
        if end > len(data):
            break
        found.append(data[space + 1 : end])
        data = data[end:]
    return found, data


def certificate(directory: Path, name: str = "localhost") -> tuple[ssl.SSLContext, str]:
    """A server's TLS context with a new certificate for a host, and the PEM of the CA to trust: itself."""
    pem, key = self_signed(name, x509.DNSName(name))
    (directory / "key.pem").write_bytes(key)
    (directory / "certificate.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
    return context, pem.decode()
