"""Which IP addresses the portal posts to: those on the public internet."""

from __future__ import annotations

import ipaddress
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
PLATFORM: Final = tuple(
    ipaddress.ip_network(each)
    for each in (
        # Public by their registration, but a cloud's own services to a machine in it.
        "168.63.129.16/32",  # Azure: wire server, DNS, health probes
        "100.100.100.200/32",  # Alibaba Cloud: metadata (shared address space)
        "192.0.0.0/24",  # IETF protocol assignments; Oracle Cloud's metadata is 192.0.0.192
        "169.254.0.0/16",  # link-local: AWS, Google, Azure, DigitalOcean metadata
        "fd00:ec2::/32",  # AWS metadata
        "fd20:ce::/64",  # Google metadata
    )
)
EMBEDDING: Final = tuple(
    ipaddress.ip_network(each)
    for each in (
        # Each carries an IPv4 address that some gateway unwraps.
        "64:ff9b::/96",  # NAT64 (RFC 6052)
        "64:ff9b:1::/48",  # NAT64 for local use (RFC 8215)
        "2002::/16",  # 6to4
        "2001::/32",  # Teredo
        "::/96",  # IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated (SIIT)
    )
)


def is_public(address: str) -> bool:
    """Return whether an IP address is on the public internet, whatever notation hides where it leads."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        # A host's own prefix may be followed by ISATAP's identifier and an IPv4 address (RFC 5214).
        is_isatap = int(ip) >> 32 & 0xFDFFFFFF == 0x5EFE
        if is_isatap or _is_in(ip, EMBEDDING):
            return False
        # Deprecated ranges that Python's `is_global` accepts.
        if ip.is_site_local or ip.is_reserved:
            return False
    return ip.is_global and not ip.is_multicast and not _is_in(ip, PLATFORM)


def _is_in(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: tuple[Network, ...]) -> bool:
    return any(ip in network for network in networks)
