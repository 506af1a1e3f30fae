"""Bearer tokens: generated and shown once, stored as a keyed digest.

A token has the form `dwp_PREFIX_SECRET`. The prefix is public and finds the row; the digest of the whole
token, keyed by SECRET_KEY, is compared in constant time. 256 random bits need no slow hash.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from enum import StrEnum

from django.conf import settings

from accounts.encryption import secret_keys

PERSON = "dwp"
SENSOR = "dws"
ENROLMENT = "dwe"
LINK = "dwl"


class TokenScope(StrEnum):
    """What an API token may call, within its user's role; `portal/access.py` has the scope of each URL."""

    READ = "read"
    TRIAGE = "triage"
    PROPOSE = "propose"
    POLICY = "policy"
    FLEET = "fleet"
    ADMIN = "admin"
    KUBERNETES_AUDIT = "kubernetes-audit"


@dataclass(frozen=True)
class IssuedToken:
    """`token` is shown to its holder once; `prefix` and `digest` are stored."""

    token: str
    prefix: str
    digest: bytes


def new_token(kind: str) -> IssuedToken:
    """Return a new token of `kind` (PERSON, SENSOR, ENROLMENT or LINK)."""
    prefix = secrets.token_hex(6)
    text = f"{kind}_{prefix}_{secrets.token_urlsafe(32)}"
    return IssuedToken(text, prefix, digest(text))


def public_prefix(text: str, kind: str) -> str | None:
    """Return the public prefix of a token of `kind`, or None if it is not one."""
    parts = text.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == kind and parts[1].isalnum() else None


def digest(text: str) -> bytes:
    """Return 32 bytes, keyed so that guesses cannot be tried against a leaked table."""
    return _digest(settings.SECRET_KEY, text)


def digests(text: str) -> list[bytes]:
    """Return the digest, and behind it the one under the SECRET_KEY before, while that is still accepted."""
    return [_digest(key, text) for key in secret_keys()]


def matches(text: str, stored: bytes | memoryview) -> bool:
    """Return whether `stored` is the digest of this token."""
    return any(hmac.compare_digest(each, bytes(stored)) for each in digests(text))


def is_outdated(text: str, stored: bytes | memoryview) -> bool:
    """Return whether the digest of a token that matches is one under the SECRET_KEY before."""
    return bool(settings.SECRET_KEY_FALLBACKS) and not hmac.compare_digest(digest(text), bytes(stored))


def _digest(secret_key: str, text: str) -> bytes:
    return hmac.digest(secret_key.encode(), b"token:" + text.encode("utf-8", "surrogatepass"), hashlib.sha256)


def is_bearer(header: str) -> bool:
    """Return whether an Authorization header has the scheme Bearer, even without a token."""
    return header.partition(" ")[0].lower() == "bearer"


def bearer_token(header: str) -> str | None:
    """Return the token of an Authorization header, or None."""
    scheme, _, text = header.partition(" ")
    return text.strip() or None if scheme.lower() == "bearer" else None
