"""Who calls: the network address, told by our own proxies or by nobody."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest | None) -> str:
    """The caller's address.

    Each of our TRUSTED_PROXIES adds one entry at the right end of X-Forwarded-For; what stands further left is the
    caller's own invention. Without trusted proxies the header is not looked at.
    """
    if request is None:
        return ""
    peer = str(request.META.get("REMOTE_ADDR", ""))
    entries = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
    proxies: int = settings.TRUSTED_PROXIES
    return entries[-proxies] if 0 < proxies <= len(entries) and entries[-proxies] else peer
