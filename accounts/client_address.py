"""The network address of a client, behind our own proxies or without any."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest | None) -> str:
    """Return the client's IP address, or "" if there is no request or it came through a Unix socket.

    Each of our TRUSTED_PROXIES appends one entry to X-Forwarded-For; entries further left can be forged by the client.
    Without trusted proxies the header is ignored.
    """
    if request is None:
        return ""
    peer = _ip_address(str(request.META.get("REMOTE_ADDR", "")))
    entries = request.headers.get("X-Forwarded-For", "").split(",")
    proxies: int = settings.TRUSTED_PROXIES
    return (0 < proxies <= len(entries) and _ip_address(entries[-proxies])) or peer


def _ip_address(entry: str) -> str:
    """Return the address of a header's entry, which some proxies write with a port; "" if it has none."""
    text = entry.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return ""
