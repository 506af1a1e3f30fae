"""Which addresses the portal posts to: the form of the URL, and public IP addresses only."""

from __future__ import annotations

import ipaddress

import httpx

from drift.notify.errors import AddressRejected


def webhook_url(text: str, *, allow_http: bool) -> httpx.URL:
    """Parse a webhook's URL. Raises AddressRejected. The host is resolved only when something is sent."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        raise AddressRejected("Enter an address of the form https://host/path.") from None
    if url.scheme not in (("https", "http") if allow_http else ("https",)) or not url.host:
        raise AddressRejected("The address must begin with https://.")
    if url.userinfo or url.fragment:
        raise AddressRejected("The address must not contain a user name, a password or #.")
    return url


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
