"""An API server of Kubernetes for tests: pods and replica sets over TLS, with an authority of its own."""

from __future__ import annotations

import http.server
import ipaddress
import json
import ssl
import threading
from pathlib import Path
from typing import Any

from cryptography import x509

from tests.certificates import self_signed

TOKEN = "first-token"


def authority(directory: Path, name: str) -> Path:
    """Make a certificate of its own for 127.0.0.1; returns the directory with ca.crt and server.key."""
    directory.mkdir(parents=True, exist_ok=True)
    certificate, key = self_signed(name, x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    (directory / "ca.crt").write_bytes(certificate)
    (directory / "server.key").write_bytes(key)
    return directory


class ApiServer:
    """An API server: `objects` by path; 401 without the `token`, `status` for every answer, `refused` by path."""

    def __init__(self, directory: Path) -> None:
        self.objects: dict[str, Any] = {}
        self.refused: dict[str, int] = {}
        self.token, self.status, self.asked = TOKEN, 0, list[str]()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                status, found = outer.answer(self.path, self.headers.get("Authorization", ""))
                body = found if isinstance(found, bytes) else json.dumps(found).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "ca.crt", directory / "server.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, path: str, authorization: str) -> tuple[int, Any]:
        if authorization != f"Bearer {self.token}":
            return 401, {}
        if status := self.status or self.refused.get(path, 0):
            return status, {}
        return (200, self.objects[path]) if path in self.objects else (404, {})

    def put(self, resource: str, name: str, *owner: str, labels: dict[str, str] | None = None) -> None:
        group = "apis/apps/v1" if resource == "replicasets" else "api/v1"
        references = [{"kind": owner[0], "name": owner[1], "controller": True}] if owner else None
        metadata = {"uid": "uid-1", "labels": labels, "ownerReferences": references}
        self.objects[f"/{group}/namespaces/shop/{resource}/{name}"] = {"metadata": metadata}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
