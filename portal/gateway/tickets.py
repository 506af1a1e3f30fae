"""Tickets that have opened a stream: none opens a second one, at whichever gateway process."""

from __future__ import annotations

import time
from typing import Final

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from drift.fleet.domain.push_messages import TicketBody
from drift.redis_servers import async_client

KEY: Final = "driftwatch:ticket:"
REDIS_SECONDS: Final = 1.0


class UsedTickets:
    """Remembers each ticket until it expires: in Redis for all gateways, and here for when Redis is away."""

    def __init__(self, redis_url: str) -> None:
        self._redis = async_client(
            redis_url, retry=Retry(NoBackoff(), 0), socket_connect_timeout=REDIS_SECONDS, socket_timeout=REDIS_SECONDS
        )
        self._here: dict[tuple[str, float], None] = {}

    async def use(self, ticket: TicketBody) -> bool:
        """Return whether this is the ticket's first use. Without Redis, the first at this process."""
        name = ticket.sensor, ticket.expires
        self._forget_expired()
        if name in self._here:
            return False
        # Before the first `await`: the same ticket may arrive twice at once.
        self._here[name] = None
        seconds = max(1, int(ticket.expires - time.time()) + 1)
        try:
            first = await self._redis.set(f"{KEY}{ticket.sensor}:{ticket.expires!r}", b"", nx=True, ex=seconds)
        except (RedisError, OSError):
            return True
        return bool(first)

    async def close(self) -> None:
        await self._redis.aclose()

    def _forget_expired(self) -> None:
        # In the order of their use, so roughly in that of their expiry: one that outlives its turn costs a few bytes.
        now = time.time()
        while self._here and next(iter(self._here))[1] <= now:
            del self._here[next(iter(self._here))]
