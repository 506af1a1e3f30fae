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
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sensor import wire


class CannotUnseal(Exception):
    """The key was sealed under another SECRET_KEY."""


@dataclass(frozen=True)
class NewKey:
    """`public` is 32 raw bytes; `sealed` is the private half, safe to store."""

    key_id: str
    public: bytes
    sealed: bytes


class NotAKey(ValueError):
    """The text is no Ed25519 private key in PEM without a password."""


def new_key(secret: str, pem: bytes | None = None) -> NewKey:
    """A fresh pair, or the one whose private half `pem` is, sealed with `secret`. Raises NotAKey."""
    private = _private(pem) if pem else Ed25519PrivateKey.generate()
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
    number: int,
    digest: str,
    created_at: dt.datetime,
    document: dict[str, Any],
    keys: list[wire.PublicKey],
    *,
    blocking_stopped: bool,
) -> bytes:
    """What is signed (WIRE: Policy bundle), the same bytes for the same facts."""
    shape = wire.BundlePayload(
        number=number,
        digest=digest,
        created_at=created_at,
        blocking_stopped=blocking_stopped,
        document=document,
        keys=keys,
    )
    return msgspec.json.encode(shape, order="deterministic")


def etag(payload_bytes: bytes) -> str:
    """64 hex digits that change whenever a sensor has something new to obey."""
    return hashlib.sha256(payload_bytes).hexdigest()


def _private(pem: bytes) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise NotAKey from None
    if not isinstance(key, Ed25519PrivateKey):
        raise NotAKey
    return key


def _fernet(secret: str) -> Fernet:
    derived = HKDF(SHA256(), 32, salt=None, info=b"driftwatch bundle signing key").derive(secret.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
