"""Notice that TRUSTED_PROXIES is wrong: then limits count the proxy, or an address that clients invent."""

from __future__ import annotations

import ipaddress
import logging
import time
from typing import Final

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from redis.exceptions import RedisError

from accounts.client_address import client_address, parsed_address
from accounts.queries.proxy_warnings import KEPT_SECONDS, KEY, UNTRUSTED, WRONG_NUMBER

logger = logging.getLogger(__name__)

GRAIN: Final = 300
"""Seconds in which one process records the same warning once."""
PROBES: Final = frozenset({"/healthz", "/readyz"})
_recorded: dict[str, float] = {}


def check_proxies(request: HttpRequest) -> None:
    """Record and log a warning if this request shows that TRUSTED_PROXIES is wrong."""
    if request.path in PROBES:
        return
    text = _warning(request)
    if not text:
        return
    now = time.monotonic()
    if text not in _recorded:
        logger.warning("%s", text)
    if now - _recorded.get(text, -GRAIN) < GRAIN:
        return
    _recorded[text] = now
    try:
        cache.set(KEY, text, KEPT_SECONDS)
    except RedisError:
        del _recorded[text]


def _warning(request: HttpRequest) -> str:
    entries = [part for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    proxies: int = settings.TRUSTED_PROXIES
    peer = str(request.META.get("REMOTE_ADDR", ""))
    if not proxies:
        # Strangers send the header too; our own proxy has an inner address.
        return UNTRUSTED if entries and _is_inner(peer) else ""
    if not entries:
        return ""  # a probe or a sensor within the network, past the proxies
    others = entries[:-proxies]
    skips_client = _is_inner(client_address(request)) and any(not _is_inner(entry.strip()) for entry in others)
    return WRONG_NUMBER if len(entries) < proxies or skips_client else ""


def _is_inner(address: str) -> bool:
    """Return whether no stranger can have this address: private, loopback, or a Unix socket's "".

    The ranges of documentation, which Python calls private too, stand for the Internet.
    """
    text = parsed_address(address)
    if not text:
        return not address
    parsed = ipaddress.ip_address(text)
    return (
        parsed.is_loopback
        or parsed.is_link_local
        or any(parsed.version == network.version and parsed in network for network in INNER)
    )


INNER: Final = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
