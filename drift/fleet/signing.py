"""Signing bundles with Ed25519, and keeping the private key sealed at rest.

The seal is Fernet under a key that HKDF derives from SECRET_KEY: a leaked table alone signs nothing.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sensor import wire


class CannotUnseal(Exception):
    """The key was sealed under another SECRET_KEY."""


@dataclass(frozen=True)
class NewKey:
    """`public` is 32 raw bytes; `sealed` is the private half, safe to store."""

    key_id: str
    public: bytes
    sealed: bytes


def new_key(secret: str) -> NewKey:
    """A fresh pair, its private half sealed with `secret`."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return NewKey(hashlib.sha256(public).hexdigest()[:16], public, _fernet(secret).encrypt(private.private_bytes_raw()))


def sign(payload: bytes, sealed: bytes, secret: str) -> bytes:
    """64 bytes over exactly `payload`. Raises CannotUnseal."""
    try:
        raw = _fernet(secret).decrypt(sealed)
    except InvalidToken:
        raise CannotUnseal from None
    return Ed25519PrivateKey.from_private_bytes(raw).sign(payload)


def can_unseal(sealed: bytes, secret: str) -> bool:
    """Whether `secret` opens the seal."""
    try:
        _fernet(secret).decrypt(sealed)
    except InvalidToken:
        return False
    return True


def payload(
    number: int, digest: str, created_at: dt.datetime, document: dict[str, Any], *, blocking_stopped: bool
) -> bytes:
    """What is signed (WIRE: Policy bundle), the same bytes for the same facts."""
    shape = wire.BundlePayload(
        number=number, digest=digest, created_at=created_at, blocking_stopped=blocking_stopped, document=document
    )
    return msgspec.json.encode(shape, order="deterministic")


def etag(payload_bytes: bytes) -> str:
    """64 hex digits that change whenever a sensor has something new to obey."""
    return hashlib.sha256(payload_bytes).hexdigest()


def _fernet(secret: str) -> Fernet:
    derived = HKDF(SHA256(), 32, salt=None, info=b"driftwatch bundle signing key").derive(secret.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
