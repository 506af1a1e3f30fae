"""How often something may be tried: a counter per key and window in the cache.

The cache only guards; when it is away, the guarded thing goes on (passwords and tokens still hold)
and a log line says so.
"""

from __future__ import annotations

import hashlib
import logging
import time

from django.core.cache import cache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


def _slot(key: str, window: int) -> str:
    """One counter per key and window; hashed, because keys hold what strangers typed."""
    name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"limit:{name}:{int(time.time()) // window}"


def count(key: str, window: int) -> int:
    """Count one try of `key`. Returns how many there were in this window of `window` seconds."""
    slot = _slot(key, window)
    try:
        cache.add(slot, 0, window * 2)
        return cache.incr(slot)
    except (RedisError, ValueError) as error:
        logger.warning("limits unavailable: %s", type(error).__name__)
        return 0


def tries(key: str, window: int) -> int:
    """How many tries of `key` were counted in this window, without counting one."""
    try:
        return int(cache.get(_slot(key, window), 0))
    except RedisError as error:
        logger.warning("limits unavailable: %s", type(error).__name__)
        return 0
