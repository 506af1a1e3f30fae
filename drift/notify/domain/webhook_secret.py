"""A webhook's secret, generated here and shown once, and its address: stored encrypted under SECRET_KEY.

Each has a key of its own, so that one put in the other's column is rejected. Of `secret_keys` the first encrypts and
any decrypts.
"""

from __future__ import annotations

import base64
import secrets
from typing import Final

from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SECRET: Final = b"driftwatch webhook secrets"
ADDRESS: Final = b"driftwatch webhook addresses"


def new_secret() -> str:
    """Return 256 random bits as a string."""
    return f"dwh_{secrets.token_urlsafe(32)}"


def seal(text: str, secret_keys: tuple[str, ...], purpose: bytes) -> bytes:
    """Encrypt a SECRET or an ADDRESS for storage."""
    return _fernet(secret_keys, purpose).encrypt(text.encode())


def unseal(sealed: bytes, secret_keys: tuple[str, ...], purpose: bytes) -> str:
    """Decrypt it. Raises cryptography's InvalidToken if it was sealed under another key or for another purpose."""
    return _fernet(secret_keys, purpose).decrypt(sealed).decode()


def seal_again(sealed: bytes, secret_keys: tuple[str, ...], purpose: bytes) -> bytes:
    """Encrypt it with the first key. Raises cryptography's InvalidToken."""
    return _fernet(secret_keys, purpose).rotate(sealed)


def _fernet(secret_keys: tuple[str, ...], purpose: bytes) -> MultiFernet:
    derived = [HKDF(SHA256(), 32, salt=None, info=purpose).derive(key.encode()) for key in secret_keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(each)) for each in derived])
