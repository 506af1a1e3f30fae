"""Listening to the portal's pushes, through every outage of Redis."""

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

from drift.fleet.domain import push_messages as push
from portal.gateway.streams import Streams, jittered

logger = logging.getLogger(__name__)

LONGEST_WAIT = 2.0
"""Seconds between two attempts to reach Redis, at most."""
SILENCE = 15.0
"""Seconds without a message after which Redis is asked whether it is still there (the sweeper
publishes every 10)."""


async def listen(url: str, streams: Streams) -> None:
    """Pass pushes on until cancelled; while Redis is away, try again with a growing, jittered wait."""
    wait = 0.1
    while True:
        client = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_connect_timeout=2)
        try:
            async for message in _messages(client):
                streams.take(message)
                wait = 0.1
        except (RedisError, OSError) as error:
            logger.warning("pushes cannot be heard: %s; trying again", error)
        finally:
            await client.aclose()
        await asyncio.sleep(jittered(wait))
        wait = min(wait * 2, LONGEST_WAIT)


async def _messages(client: redis.Redis) -> AsyncIterator[push.PushMessage]:
    """Every message on the channel.

    Each time that the channel was subscribed anew, the last push comes first: it, or others that went
    the same way, may have been published while nobody listened here.
    """
    async with client.pubsub() as channel:
        await channel.subscribe(push.CHANNEL)
        async for kind, data in _received(channel):
            raw: Any = await client.get(push.LATEST) if kind == "subscribe" else data if kind == "message" else None
            if raw is None:
                continue
            try:
                yield push.decode_push(raw)
            except msgspec.DecodeError as error:
                logger.error("a push cannot be read: %s", error)  # noqa: TRY400 - the bytes matter, not our stack


async def _received(channel: redis.client.PubSub) -> AsyncIterator[tuple[str, Any]]:
    """What comes over the connection; raises where it stays silent even when asked."""
    asked = False
    while True:
        received = await channel.get_message(timeout=SILENCE)
        if received is not None:
            asked = False
            yield received["type"], received["data"]
        elif asked:
            raise RedisConnectionError("no answer")
        else:
            await channel.ping()
            asked = True
