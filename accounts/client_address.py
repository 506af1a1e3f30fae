"""The network address of a client, behind our own proxies or without any."""

from __future__ import annotations

import ipaddress
from typing import Final

from django.conf import settings
from django.http import HttpRequest

NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
"""Behind a translator every IPv4 client has an address in it (RFC 6052): not one client's, as other networks are."""


def client_address(request: HttpRequest | None) -> str:
    """Return the client's IP address, or "" if there is no request or it came through a Unix socket.

    Each of our TRUSTED_PROXIES appends one entry to X-Forwarded-For; entries further left can be forged by the client.
    Without trusted proxies the header is ignored.
    """
    if request is None:
        return ""
    peer = parsed_address(str(request.META.get("REMOTE_ADDR", "")))
    entries = request.headers.get("X-Forwarded-For", "").split(",")
    proxies: int = settings.TRUSTED_PROXIES
    return (0 < proxies <= len(entries) and parsed_address(entries[-proxies])) or peer


def client_network(request: HttpRequest | None) -> str:
    """Return what limits by address count: the client's address, or of IPv6 its network."""
    return network_of(client_address(request))


def network_of(address: str) -> str:
    """Return the address, as `client_address` does, or of IPv6 the /64 of which one client has all addresses."""
    if ":" not in address:
        return address
    parsed = ipaddress.IPv6Address(address)
    return address if parsed in NAT64 else str(ipaddress.ip_network((address, 64), strict=False))


def parsed_address(entry: str) -> str:
    """Return the address of a header's entry, which some proxies write with a port; "" if it has none.

    An IPv4 address that a socket for both versions writes as IPv6 (`::ffff:192.0.2.1`) is the IPv4 address: all of
    them have one /64.
    """
    text = entry.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)
