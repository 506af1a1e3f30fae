"""Limits on guessing passwords: a few tries at once, then longer and longer pauses, never a lock.

An office shares one address, and anybody can type anybody's address: so a browser that has signed in to the account
before has tries of its own, whatever others do. Nothing here depends on whether the account exists.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

from accounts import rate_limits
from accounts.addresses import limited_address
from accounts.client_address import client_network
from accounts.encryption import secret_keys

WINDOW: Final = 15 * 60
MAX_BEGUN = 600
"""Sign-ins by passkey or through the issuer that one address begins in a minute: each stores a session for an hour."""
COOKIE: Final = f"{settings.COOKIE_PREFIX}known_device"
COOKIE_AGE: Final = 365 * 24 * 3600
MAX_ACCOUNTS: Final = 5
"""Accounts that one browser is known for: the last ones that signed in."""
_SALT: Final = "accounts.known_device"


@dataclass(frozen=True)
class Limit:
    """`free` tries in 15 minutes; then one try at a time with a pause that doubles up to `longest` seconds."""

    key: str
    free: int
    first: int
    longest: int

    def pause(self, tries: int) -> int:
        return int(min(self.longest, self.first * 2 ** min(tries - self.free, 20)))


class Attempt:
    """One try to sign in. Count it before the password is checked, so that tries at the same time do not slip by."""

    def __init__(self, request: HttpRequest | None, email: str) -> None:
        self._limits = _limits(request, limited_address(email))

    @classmethod
    def by_passkey(cls, request: HttpRequest) -> Attempt:
        """Return a try that names no account: it is limited by browser or address."""
        attempt = cls(request, "")
        device = _device(request)
        key = f"sign-in-device:{device['id']}:" if device else f"sign-in-from:{client_network(request)}"
        attempt._limits = [Limit(key, 50, 30, 60)]
        return attempt

    def seconds_to_wait(self) -> int:
        """Count the try. Returns 0 if it may go on, else the seconds to wait; a refused try is not counted."""
        for position, limit in enumerate(self._limits):
            tries = rate_limits.count(limit.key, WINDOW)
            wait = rate_limits.seconds_until_free(limit.key, limit.pause(tries)) if tries >= limit.free else 0
            # The last free try occupies the pause that follows it.
            if wait and tries > limit.free:
                self._take_back(self._limits[: position + 1])
                return wait
        return 0

    def succeeded(self) -> None:
        """Take the try back: only failures count."""
        self._take_back(self._limits)

    def _take_back(self, limits: list[Limit]) -> None:
        for limit in limits:
            rate_limits.uncount(limit.key, WINDOW)


def _limits(request: HttpRequest | None, email: str) -> list[Limit]:
    device = _device(request)
    if device and not {_mark(email, key) for key in secret_keys()}.isdisjoint(device["of"]):
        return [Limit(f"sign-in-device:{device['id']}:{email}", 5, 10, WINDOW)]
    address = client_network(request)
    return [
        Limit(f"sign-in:{email}:{address}", 5, 10, WINDOW),
        Limit(f"sign-in-from:{address}", 50, 30, 60),
        Limit(f"sign-in-at:{email}", 100, 30, 60),
    ]


def seconds_to_begin(request: HttpRequest) -> int:
    """Count a sign-in that stores a session before anybody has proved anything. Returns 0 if it may, else the wait."""
    count = rate_limits.count(f"sign-in-begun:{client_network(request)}", 60)
    return rate_limits.seconds_left(60) if count > MAX_BEGUN else 0


def remember_device(request: HttpRequest, response: HttpResponse, email: str) -> None:
    """Set the signed cookie that makes this browser a known one of the account."""
    device = _device(request) or {"id": secrets.token_hex(8), "of": []}
    mark = _mark(limited_address(email), settings.SECRET_KEY)
    known = [mark, *(each for each in device["of"] if each != mark)][:MAX_ACCOUNTS]
    response.set_cookie(
        COOKIE,
        signing.dumps({"id": device["id"], "of": known}, salt=_SALT),
        max_age=COOKIE_AGE,
        httponly=True,
        secure=bool(settings.SESSION_COOKIE_SECURE),
        samesite="Lax",
    )


def _device(request: HttpRequest | None) -> dict[str, Any] | None:
    """Return what the cookie holds if we signed it within a year."""
    if request is None or COOKIE not in request.COOKIES:
        return None
    try:
        device: dict[str, Any] = signing.loads(request.COOKIES[COOKIE], salt=_SALT, max_age=COOKIE_AGE)
    except signing.BadSignature:
        return None
    return device


def _mark(email: str, secret_key: str) -> str:
    """Return what the cookie holds in place of an address."""
    return hmac.digest(
        secret_key.encode(), b"known device:" + email.encode("utf-8", "surrogatepass"), hashlib.sha256
    ).hex()[:24]
