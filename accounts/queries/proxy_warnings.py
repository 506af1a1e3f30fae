"""What requests of the last day have shown about the number of trusted proxies."""

from __future__ import annotations

from typing import Final

from django.core.cache import cache
from redis.exceptions import RedisError

KEY: Final = "proxy-warning"
KEPT_SECONDS: Final = 24 * 3600
UNTRUSTED: Final = (
    "A proxy forwards requests, but TRUSTED_PROXIES is 0: all clients share the proxy's address, and so their limits on"
    " failed sign-ins. Set TRUSTED_PROXIES to the number of your own proxies."
)
WRONG_NUMBER: Final = (
    "TRUSTED_PROXIES does not match the proxies in front of the portal: the address of clients is that of a proxy."
    " Set it to the number of your own proxies."
)


def proxy_warning() -> str:
    """Return the last warning of the last day, "" if there is none or the cache is unavailable."""
    try:
        return str(cache.get(KEY, ""))
    except RedisError:
        return ""
