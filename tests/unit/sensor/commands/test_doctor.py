"""The doctor reaches the portal as the sensor will: through the same trust store."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sensor.commands.doctor import _portal
from sensor.delivery.client import PortalClient
from tests.unit.sensor.fake_portal import CREDENTIAL, FakePortal


def certificate(directory: Path) -> Path:
    """A PEM file with a key and a self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an organisation's own CA")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = directory / "portal.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, *plain) + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def https(portal: FakePortal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a portal whose certificate is only in the system's trust store, which no variable names."""
    pem = certificate(tmp_path)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(pem)
    portal._server.socket = serving.wrap_socket(portal._server.socket, server_side=True)
    real = ssl.create_default_context

    def with_system_store(cafile: str | None = None, capath: str | None = None) -> ssl.SSLContext:
        return real(cafile=cafile or str(pem), capath=capath)

    monkeypatch.setattr(ssl, "create_default_context", with_system_store)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    return portal.url.replace("http:", "https:")


def test_the_doctor_accepts_a_portal_that_the_system_trusts_as_the_sensor_does(https: str) -> None:
    assert PortalClient(https, CREDENTIAL).policy(None, ["k1"]) is None
    found = list(_portal(https))
    assert [(check.name, check.ok) for check in found] == [("Portal", True), ("Clock", True)]
    assert "answers 200" in found[0].advice
