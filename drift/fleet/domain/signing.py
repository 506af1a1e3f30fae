"""Ed25519 signatures over bundles, and the encryption of the private key at rest.

The private key is encrypted with Fernet under a key that HKDF derives from SECRET_KEY: whoever has the table alone
cannot sign anything. Of `secrets` the first encrypts and any decrypts.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sensor import wire


class CannotUnseal(Exception):
    """The private key was encrypted under another SECRET_KEY."""


class NotAKey(ValueError):
    """The input is not an Ed25519 private key in PEM without a password."""


@dataclass(frozen=True)
class NewKey:
    """A key pair: `public` is 32 raw bytes, `sealed` the encrypted private half, safe to store."""

    key_id: str
    public: bytes
    sealed: bytes


def new_key(secrets: tuple[str, ...], pem: bytes | None = None) -> NewKey:
    """Return a new key pair, or that of the private key `pem`, encrypted with the first secret. Raises NotAKey."""
    private = _private_key(pem) if pem else Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return NewKey(
        hashlib.sha256(public).hexdigest()[:16], public, _fernet(secrets).encrypt(private.private_bytes_raw())
    )


def sign(payload: bytes, sealed: bytes, secrets: tuple[str, ...]) -> bytes:
    """Return the 64-byte signature over exactly `payload`. Raises CannotUnseal."""
    try:
        raw = _fernet(secrets).decrypt(sealed)
    except InvalidToken:
        raise CannotUnseal from None
    return Ed25519PrivateKey.from_private_bytes(raw).sign(payload)


def can_unseal(sealed: bytes, secrets: tuple[str, ...]) -> bool:
    """Return whether one of `secrets` decrypts the private key."""
    try:
        _fernet(secrets).decrypt(sealed)
    except InvalidToken:
        return False
    return True


def seal_again(sealed: bytes, secrets: tuple[str, ...]) -> bytes:
    """Return the private key encrypted with the first of `secrets`. Raises CannotUnseal."""
    try:
        return _fernet(secrets).rotate(sealed)
    except InvalidToken:
        raise CannotUnseal from None


def bundle_payload(
    number: int,
    digest: str,
    created_at: dt.datetime,
    document: dict[str, Any],
    keys: list[wire.PublicKey],
    *,
    blocking_stopped: bool,
    expires_at: dt.datetime | None = None,
    lineage_rules: list[str] | None = None,
) -> bytes:
    """Return the bytes that are signed (docs/delivery.md#the-bundle): the same for the same facts."""
    shape = wire.BundlePayload(
        number=number,
        digest=digest,
        created_at=created_at,
        blocking_stopped=blocking_stopped,
        document=document,
        keys=keys,
        expires_at=expires_at,
        lineage_rules=lineage_rules or msgspec.UNSET,
    )
    return msgspec.json.encode(shape, order="deterministic")


def payload_etag(payload: bytes) -> str:
    """Return 64 hex digits that change whenever a sensor has something new to apply."""
    return hashlib.sha256(payload).hexdigest()


def _private_key(pem: bytes) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise NotAKey from None
    if not isinstance(key, Ed25519PrivateKey):
        raise NotAKey
    return key


def _fernet(secrets: tuple[str, ...]) -> MultiFernet:
    info = b"driftwatch bundle signing key"
    derived = [HKDF(SHA256(), 32, salt=None, info=info).derive(secret.encode()) for secret in secrets]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(each)) for each in derived])
