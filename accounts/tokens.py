"""Bearer secrets: made once, shown once, kept as a keyed digest.

A token reads `dwp_PREFIX_SECRET`. The prefix is public and finds the row; the digest of the whole
token, keyed by SECRET_KEY, is compared in constant time. 256 random bits need no slow hash.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from django.conf import settings

PERSON = "dwp"
SENSOR = "dws"
ENROLMENT = "dwe"


@dataclass(frozen=True)
class IssuedToken:
    """`text` is for its holder alone, once; `prefix` and `digest` are stored."""

    text: str
    prefix: str
    digest: bytes


def make(kind: str) -> IssuedToken:
    """A fresh token of `kind` (PERSON, SENSOR or ENROLMENT)."""
    prefix = secrets.token_hex(6)
    text = f"{kind}_{prefix}_{secrets.token_urlsafe(32)}"
    return IssuedToken(text, prefix, digest(text))


def public_prefix(text: str, kind: str) -> str | None:
    """The public prefix of a token of `kind`, or None where the text is none such."""
    parts = text.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == kind and parts[1].isalnum() else None


def digest(text: str) -> bytes:
    """32 bytes, keyed so that a leaked table cannot be tried against guesses."""
    return hmac.digest(settings.SECRET_KEY.encode(), b"token:" + text.encode(), hashlib.sha256)


def matches(text: str, stored: bytes | memoryview) -> bool:
    """Whether `text` is the token that `stored` was made from."""
    return hmac.compare_digest(digest(text), bytes(stored))


def bearer(header: str) -> str | None:
    """The token in an Authorization header, or None."""
    scheme, _, text = header.partition(" ")
    return text.strip() or None if scheme.lower() == "bearer" else None
