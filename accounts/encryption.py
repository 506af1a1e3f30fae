"""Encrypt what is stored and must be read again, under a key derived from SECRET_KEY.

While SECRET_KEY is being replaced (docs/operators.md#changing-secret_key), the key before it decrypts too.
"""

from __future__ import annotations

import base64
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

SECOND_FACTORS: Final = "second factors"
"""The purpose of secrets of authenticator apps and of recovery codes."""


class WrongKeyError(Exception):
    """The text was encrypted under another SECRET_KEY, or for another purpose."""


def secret_keys() -> tuple[str, ...]:
    """Return SECRET_KEY, and behind it the one before while it is still accepted."""
    return (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


def encrypt(text: str, purpose: str) -> str:
    """Return `text` encrypted; `purpose` separates the keys, and decrypting must name the same."""
    return _fernet(purpose).encrypt(text.encode()).decode()


def decrypt(encrypted: str, purpose: str) -> str:
    """Return the text. Raises WrongKeyError."""
    try:
        return _fernet(purpose).decrypt(encrypted.encode()).decode()
    except InvalidToken:
        raise WrongKeyError from None


def encrypt_again(encrypted: str, purpose: str) -> str:
    """Return the same text encrypted under SECRET_KEY. Raises WrongKeyError."""
    try:
        return _fernet(purpose).rotate(encrypted.encode()).decode()
    except InvalidToken:
        raise WrongKeyError from None


def _fernet(purpose: str) -> MultiFernet:
    info = f"driftwatch {purpose}".encode()
    derived = [HKDF(SHA256(), 32, salt=None, info=info).derive(key.encode()) for key in secret_keys()]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(each)) for each in derived])
