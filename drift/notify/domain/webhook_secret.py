"""A webhook's secret: generated here, shown once, stored encrypted under a key derived from SECRET_KEY."""

from __future__ import annotations

import base64
import secrets

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def new_secret() -> str:
    """Return 256 random bits as a string."""
    return f"dwh_{secrets.token_urlsafe(32)}"


def seal(secret: str, secret_key: str) -> bytes:
    """Encrypt a secret for storage."""
    return _fernet(secret_key).encrypt(secret.encode())


def unseal(sealed: bytes, secret_key: str) -> str:
    """Decrypt a stored secret. Raises cryptography's InvalidToken if it was sealed under another key."""
    return _fernet(secret_key).decrypt(sealed).decode()


def _fernet(secret_key: str) -> Fernet:
    derived = HKDF(SHA256(), 32, salt=None, info=b"driftwatch webhook secrets").derive(secret_key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
