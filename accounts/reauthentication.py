"""When a session last proved who uses it: by signing in, or by confirming it later (docs/sign-in.md#confirming)."""

from __future__ import annotations

import time
from typing import Final

from allauth.account.internal.flows.login import AUTHENTICATION_METHODS_SESSION_KEY
from django.http import HttpRequest

RECENT_SECONDS: Final = 5 * 60
KEY: Final = "authenticated_at"
ISSUER: Final = "issuer"
"""The method of a sign-in through the OpenID Connect issuer."""


def record_authentication(request: HttpRequest) -> None:
    """Record in the session that its user has just proved who they are."""
    request.session[KEY] = time.time()


def renew_session(request: HttpRequest) -> None:
    """Record the proof in a session that goes on under a new key: the one before, if somebody has it, gains nothing."""
    request.session.renew()  # type: ignore[attr-defined]
    record_authentication(request)


def recently_authenticated(request: HttpRequest) -> bool:
    """Return whether the session's user proved who they are within five minutes."""
    at = request.session.get(KEY)
    # A time in the future comes from a clock that was corrected since: not a proof.
    return isinstance(at, int | float) and 0 <= time.time() - at < RECENT_SECONDS


def sign_in_methods(request: HttpRequest) -> list[str]:
    """Return what the session signed in with, in order: "password", "totp", "recovery_codes", "webauthn", ISSUER."""
    records = request.session.get(AUTHENTICATION_METHODS_SESSION_KEY) or []
    return [str(record.get("type") or record.get("method")) for record in records]
