"""Rate limits: a counter per key and time window in the cache.

If the cache is unavailable, nothing is limited (passwords and tokens still protect) and a warning is logged.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time

from django.core.cache import cache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


def _counter_key(key: str, window: int) -> str:
    """Return the cache key of one counter. Hashed: keys contain what strangers typed, of any length."""
    name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"limit:{name}:{int(time.time()) // window}"


def count(key: str, window: int) -> int:
    """Count one try of `key`. Returns the number of tries in the present window of `window` seconds."""
    counter = _counter_key(key, window)
    try:
        cache.add(counter, 0, window * 2)
        return cache.incr(counter)
    except (RedisError, ValueError) as error:
        logger.warning("rate limits unavailable: %s", error)
        return 0


def seconds_left(window: int) -> int:
    """Return the seconds until the present window of `window` seconds ends, at least 1."""
    return max(1, window - int(time.time()) % window)


def uncount(key: str, window: int) -> None:
    """Take back one try of `key`."""
    try:
        cache.decr(_counter_key(key, window))
    except (RedisError, ValueError) as error:
        logger.warning("rate limits unavailable: %s", error)


def seconds_until_free(key: str, seconds: int) -> int:
    """Occupy `key` for `seconds` and return 0; if it is occupied, return the seconds until it is free.

    Of several callers at the same time one gets it.
    """
    name = _counter_key(f"slot:{key}", 10**12)
    try:
        if cache.add(name, time.time() + seconds, seconds):
            return 0
        return max(1, math.ceil(float(cache.get(name, 0)) - time.time()))
    except RedisError as error:
        logger.warning("rate limits unavailable: %s", error)
        return 0
