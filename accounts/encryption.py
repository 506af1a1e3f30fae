"""Encrypt what is stored and must be read again, under a key derived from SECRET_KEY."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class WrongKeyError(Exception):
    """The text was encrypted under another SECRET_KEY, or for another purpose."""


def encrypt(text: str, purpose: str) -> str:
    """Return `text` encrypted; `purpose` separates the keys, and decrypting must name the same."""
    return _fernet(purpose).encrypt(text.encode()).decode()


def decrypt(encrypted: str, purpose: str) -> str:
    """Return the text. Raises WrongKeyError."""
    try:
        return _fernet(purpose).decrypt(encrypted.encode()).decode()
    except InvalidToken:
        raise WrongKeyError from None


def _fernet(purpose: str) -> Fernet:
    info = f"driftwatch {purpose}".encode()
    derived = HKDF(SHA256(), 32, salt=None, info=info).derive(settings.SECRET_KEY.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
