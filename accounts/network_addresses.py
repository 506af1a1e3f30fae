"""Which IP addresses the portal connects to where somebody else chose the host: those on the public internet.

Where the operator allows private ones, still none at which a cloud serves its own machines.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
PLATFORM: Final = tuple(
    ipaddress.ip_network(each)
    for each in (
        # Public by their registration, but a cloud's own services to a machine in it.
        "168.63.129.16/32",  # Azure: wire server, DNS, health probes
        "100.100.100.200/32",  # Alibaba Cloud: metadata (shared address space)
        "192.0.0.0/24",  # IETF protocol assignments; Oracle Cloud's metadata is 192.0.0.192
        "169.254.0.0/16",  # link-local: AWS, Google, Azure, DigitalOcean metadata
        "fe80::/10",  # link-local: OpenStack metadata is fe80::a9fe:a9fe
        "fd00:ec2::/32",  # AWS metadata
        "fd20:ce::/64",  # Google metadata
        "fd00:42::/32",  # Scaleway metadata
        "fd00:c1::/32",  # Oracle Cloud metadata
    )
)
TEREDO: Final = ipaddress.ip_network("2001::/32")
SIX_TO_FOUR: Final = ipaddress.ip_network("2002::/16")
LOCAL_NAT64: Final = ipaddress.ip_network("64:ff9b:1::/48")
"""RFC 8215; the IPv4 address may also follow the prefix, around the octet that RFC 6052 keeps at 0."""
TRAILING: Final = tuple(
    ipaddress.ip_network(each)
    for each in (
        "64:ff9b::/96",  # NAT64 (RFC 6052)
        "64:ff9b:1::/48",
        "::/96",  # IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated (SIIT)
    )
)
"""Their last 32 bits are an IPv4 address, which some gateway unwraps."""


def is_public(address: str) -> bool:
    """Return whether an IP address is on the public internet, whatever notation hides where it leads."""
    ip = _parsed(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if next(_carried(ip), None) is not None:
            return False
        # Deprecated ranges that Python's `is_global` accepts.
        if ip.is_site_local or ip.is_reserved:
            return False
    return ip.is_global and not ip.is_multicast and not _is_in(ip, PLATFORM)


def is_platform(address: str) -> bool:
    """Return whether a cloud serves its own machines at an IP address, or at an IPv4 address that it carries."""
    ip = _parsed(address)
    carried = _carried(ip) if isinstance(ip, ipaddress.IPv6Address) else ()
    return any(_is_in(each, PLATFORM) for each in (ip, *carried))


def _parsed(address: str) -> Address:
    # A link-local address carries its interface after a %.
    return ipaddress.ip_address(address.partition("%")[0])


def _carried(ip: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    """Yield the IPv4 addresses in an IPv6 address that a gateway may unwrap."""
    number = int(ip)
    # A host's own prefix may be followed by ISATAP's identifier and an IPv4 address (RFC 5214).
    if _is_in(ip, TRAILING) or number >> 32 & 0xFDFFFFFF == 0x5EFE:
        yield ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if ip in LOCAL_NAT64:
        yield ipaddress.IPv4Address((number >> 64 & 0xFFFF) << 16 | number >> 40 & 0xFFFF)
    if ip in SIX_TO_FOUR:
        yield ipaddress.IPv4Address(number >> 80 & 0xFFFFFFFF)
    if ip in TEREDO:
        yield ipaddress.IPv4Address(number >> 64 & 0xFFFFFFFF)  # the server
        yield ipaddress.IPv4Address(~number & 0xFFFFFFFF)  # the client


def _is_in(ip: Address, networks: tuple[Network, ...]) -> bool:
    return any(ip in network for network in networks)
