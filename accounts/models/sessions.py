"""Sessions of browsers, stored by the digest of their key."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models.users import User
from accounts.models.visibility import Own


def key_digest(session_key: str, secret_key: str = "") -> bytes:
    """Return 32 bytes, keyed so that whoever reads the database has no key that a browser could send.

    `secret_key`: the SECRET_KEY before, of a session that began under it.
    """
    key = session_key.encode("utf-8", "surrogatepass")
    return hmac.digest((secret_key or settings.SECRET_KEY).encode(), b"session:" + key, hashlib.sha256)


def live_sessions() -> Q:
    """Return the condition of sessions that have neither expired nor been idle for too long."""
    now = timezone.now()
    live = Q(expires_at__gt=now)
    if idle := idle_since(now):
        live &= Q(last_seen_at__gt=idle)
    return live


def idle_since(now: dt.datetime) -> dt.datetime | None:
    """Return since when a session without activity has ended; None without a limit."""
    idle: int = settings.SESSION_IDLE_SECONDS
    return now - dt.timedelta(seconds=idle) if idle else None


class Session(models.Model):
    """One browser's session. The key is only in its cookie; `data` is signed, as Django encodes it."""

    digest = models.BinaryField(max_length=32, unique=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="sessions")
    data = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    """When the user last did something, to the minute: what a page requests by itself does not count."""
    expires_at = models.DateTimeField(db_index=True)
    address = models.GenericIPAddressField(null=True)
    agent = models.CharField(max_length=200, blank=True)

    visibility: ClassVar = Own("user")

    def __str__(self) -> str:
        return f"session {self.pk}"
