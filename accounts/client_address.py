"""The network address of a client, behind our own proxies or without any."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest | None) -> str:
    """Return the client's address, or "" without a request.

    Each of our TRUSTED_PROXIES appends one entry to X-Forwarded-For; entries further left can be forged by the client.
    Without trusted proxies the header is ignored.
    """
    if request is None:
        return ""
    peer = str(request.META.get("REMOTE_ADDR", ""))
    entries = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
    proxies: int = settings.TRUSTED_PROXIES
    return entries[-proxies] if 0 < proxies <= len(entries) and entries[-proxies] else peer
