"""A webhook's secret: made here, shown once, kept under a key that is derived from SECRET_KEY."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


def new_secret() -> str:
    """256 random bits as text."""
    return f"dwh_{secrets.token_urlsafe(32)}"


def seal(secret: str) -> bytes:
    return _fernet().encrypt(secret.encode())


def signature(sealed: bytes, at: int, body: bytes) -> str:
    """`t=SECONDS,v1=HEX`: HMAC-SHA256 over "SECONDS.BODY", so that an old message cannot be sent again as new.

    Raises cryptography's InvalidToken where SECRET_KEY is another by now.
    """
    secret = _fernet().decrypt(bytes(sealed))
    return f"t={at},v1={hmac.new(secret, f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


def _fernet() -> Fernet:
    derived = HKDF(SHA256(), 32, salt=None, info=b"driftwatch webhook secrets").derive(settings.SECRET_KEY.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
