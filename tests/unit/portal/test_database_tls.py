"""TLS to PostgreSQL: with `sslmode=verify-full` the server must have a certificate of a trusted authority.

The server here does what PostgreSQL does until the client has verified it, then refuses the session.
"""

from __future__ import annotations

import shutil
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from cryptography import x509

from portal import config
from tests.certificates import self_signed

REACHED = "reached by TLS"
SSL_REQUEST = 8
"""Bytes of the message with which a client asks for TLS."""


class _Session(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.request.recv(SSL_REQUEST)
        self.request.sendall(b"S")
        with suppress(OSError), self.server.context.wrap_socket(self.request, server_side=True) as encrypted:
            encrypted.recv(4096)
            fields = f"SFATAL\0C57P03\0M{REACHED}\0\0".encode()
            encrypted.sendall(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    context: ssl.SSLContext


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Its URL, and the certificate of its authority."""
    directory = tmp_path_factory.mktemp("postgres")
    certificate, key = self_signed("postgres", x509.DNSName("localhost"))
    (directory / "tls.crt").write_bytes(certificate)
    (directory / "tls.key").write_bytes(key)
    with _Server(("127.0.0.1", 0), _Session) as made:
        made.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        made.context.load_cert_chain(directory / "tls.crt", directory / "tls.key")
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"postgresql://somebody@localhost:{made.server_address[1]}/driftwatch", directory / "tls.crt"
        made.shutdown()


def connect(url: str) -> None:
    """As Django does with the settings of that URL; returns once the server is verified."""
    found = config.database("DATABASE_URL", url)
    options = cast("dict[str, Any]", found["OPTIONS"])
    parameters: dict[str, Any] = {name: value for name, value in options.items() if name.startswith("ssl")}
    parameters |= {"host": found["HOST"], "port": found["PORT"], "user": found["USER"], "dbname": found["NAME"]}
    with pytest.raises(psycopg.OperationalError) as refused:
        # By IPv4, where the server is; the name is still what is verified.
        psycopg.connect(**parameters, hostaddr="127.0.0.1", gssencmode="disable")
    if REACHED not in str(refused.value):
        raise refused.value


@pytest.fixture(autouse=True)
def _nobody_s_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home without libpq's own file of authorities, as in a container."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PGSSLROOTCERT", raising=False)


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_a_server_of_an_authority_in_ssl_cert_file_is_accepted(
    server: tuple[str, Path], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, authority = server
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    connect(f"{url}?sslmode={mode}")


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_a_server_of_another_authority_is_refused(
    server: tuple[str, Path], mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate, _ = self_signed("another", x509.DNSName("localhost"))
    (tmp_path / "another.crt").write_bytes(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "another.crt"))
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        connect(f"{server[0]}?sslmode={mode}")


def test_a_server_whose_certificate_names_another_host_is_refused(
    server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, authority = server
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with pytest.raises(psycopg.OperationalError, match="does not match host name"):
        connect(f"{url.replace('localhost', '127.0.0.1')}?sslmode=verify-full")


def test_the_url_s_own_file_and_libpq_s_are_left_to_decide(
    server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url, authority = server
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    connect(f"{url}?sslmode=verify-full&sslrootcert={authority}")
    monkeypatch.setenv("PGSSLROOTCERT", str(authority))
    connect(f"{url}?sslmode=verify-full")
    monkeypatch.delenv("PGSSLROOTCERT")
    (tmp_path / ".postgresql").mkdir()
    shutil.copy(authority, tmp_path / ".postgresql/root.crt")
    connect(f"{url}?sslmode=verify-full")


def test_without_a_file_of_ours_the_system_s_authorities_are_trusted(
    server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setattr(config, "SYSTEM_AUTHORITIES", (str(tmp_path / "none"), str(server[1])))
    connect(f"{server[0]}?sslmode=verify-full")


def test_without_verification_no_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    for url in ("postgresql://a/b", "postgresql://a/b?sslmode=require"):
        assert "sslrootcert" not in cast("dict[str, Any]", config.database("DATABASE_URL", url)["OPTIONS"])
