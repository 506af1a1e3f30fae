"""Which IP addresses the portal posts to: those on the public internet."""

from __future__ import annotations

import ipaddress


def is_public(address: str) -> bool:
    """Return whether an IP address is on the public internet, whatever notation hides where it leads."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        # Each of these carries an IPv4 address that the network unwraps: it could be a private one.
        embedded = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if embedded is not None or ip in ipaddress.ip_network("64:ff9b::/96"):
            return False
        # Deprecated ranges that Python's `is_global` accepts.
        if ip.is_site_local or ip.is_reserved:
            return False
    return ip.is_global and not ip.is_multicast
