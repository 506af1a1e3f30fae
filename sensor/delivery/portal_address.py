"""Which addresses the sensor sends its credential to: HTTPS, or this machine itself."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


class InsecureAddress(Exception):
    """The address would carry credentials and policies in the clear."""


def check_address(address: str, *, insecure_http: bool) -> None:
    """Raise InsecureAddress for anything but HTTPS, beyond loopback, unless `insecure_http` allows HTTP."""
    try:
        parts = urlsplit(address.strip())
        host = parts.hostname or ""
    except ValueError:
        raise InsecureAddress(f"{address[:200]} is not a valid address") from None
    if parts.scheme.lower() == "https" and host:
        return
    if parts.scheme.lower() != "http" or not host:
        raise InsecureAddress(f"{address[:200]} is not an address that starts with https://")
    if not (insecure_http or _is_loopback(host)):
        raise InsecureAddress(
            f"{address[:200]} would send this node's credential in the clear: use https://, or --insecure-http"
        )


def _is_loopback(host: str) -> bool:
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # another name, whatever it resolves to: who answers for it may change
