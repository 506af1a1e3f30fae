"""The subscription to the portal's pushes, restored after every outage of Redis."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from accounts import request_ids
from drift.fleet.domain.push_messages import CHANNEL, LATEST, PushMessage, decode_push
from drift.redis_servers import async_client
from portal.gateway.streams import Streams, jittered

logger = logging.getLogger(__name__)

MAX_WAIT = 2.0
"""Seconds between two attempts to connect to Redis, at most."""
SILENCE = 15.0
"""Seconds without a message after which Redis is pinged; the sweeper publishes every 10."""


async def listen(url: str, streams: Streams) -> None:
    """Forward pushes until cancelled; without Redis, retry with increasing, jittered waits."""
    wait = 0.1
    while True:
        client = async_client(url, retry=Retry(NoBackoff(), 0), socket_connect_timeout=2)
        try:
            async for message in _messages(client):
                _take(message, streams)
                wait = 0.1
        except (RedisError, OSError) as error:
            logger.warning("pushes cannot be received: %s; retrying", error)
        finally:
            await client.aclose()
        await asyncio.sleep(jittered(wait))
        wait = min(wait * 2, MAX_WAIT)


def _take(message: PushMessage, streams: Streams) -> None:
    """Forward one message, under the id of the request that caused it."""
    before = request_ids.current.set(message.request_id if request_ids.is_valid_request_id(message.request_id) else "")
    try:
        streams.take(message)
        if message.number is not None:
            logger.info("version %d pushed; %d streams are open", message.number, len(streams))
    finally:
        request_ids.current.reset(before)


async def _messages(client: redis.Redis) -> AsyncIterator[PushMessage]:
    """Yield every message on the channel; after each new subscription the last push comes first."""
    async with client.pubsub() as channel:
        await channel.subscribe(CHANNEL)
        async for kind, data in _received(channel):
            # Before the subscription the last push may have been published without this gateway.
            raw: Any = await client.get(LATEST) if kind == "subscribe" else data if kind == "message" else None
            if raw is None:
                continue
            try:
                yield decode_push(raw)
            except msgspec.DecodeError as error:
                logger.error("a push cannot be read: %s", error)  # noqa: TRY400 - the bytes matter, not our stack


async def _received(channel: redis.client.PubSub) -> AsyncIterator[tuple[str, Any]]:
    """Yield the connection's messages. Raises RedisConnectionError where a ping is not answered either."""
    pinged = False
    while True:
        received = await channel.get_message(timeout=SILENCE)
        if received is not None:
            pinged = False
            yield received["type"], received["data"]
        elif pinged:
            raise RedisConnectionError("ping not answered")
        else:
            await channel.ping()
            pinged = True
