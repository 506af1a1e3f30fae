"""The gateway's report of itself, in Redis (docs/health.md#how-it-is-checked)."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import time

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from drift.health.domain.process_reports import INTERVAL, KEY, encode_report, field_name, new_report
from drift.redis_servers import async_client
from portal.gateway.streams import Streams
from sensor.version import VERSION

logger = logging.getLogger(__name__)


async def report(url: str, streams: Streams) -> None:
    """Report this process and its open streams until cancelled; without Redis, try again."""
    started = time.monotonic()
    client = async_client(url, retry=Retry(NoBackoff(), 0), socket_connect_timeout=2, socket_timeout=2)
    name, is_quiet = field_name("gateway", platform.node(), os.getpid()), False
    try:
        while True:
            try:
                seconds, micros = await client.time()
                row = new_report(seconds + micros / 1e6, started, VERSION, len(streams))
                await client.hset(KEY, name, encode_report(row))
                is_quiet = False
            except (RedisError, OSError) as error:
                if not is_quiet:
                    logger.warning("the report of this process was not written: %s", error)
                is_quiet = True
            await asyncio.sleep(INTERVAL)
    finally:
        await client.aclose()
