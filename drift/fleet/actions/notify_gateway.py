"""Telling the push gateway, on commit. Redis away costs a log line: the sweeper says it again."""

from __future__ import annotations

import functools
import logging

import redis
from django.conf import settings
from django.db import transaction
from redis.backoff import NoBackoff
from redis.retry import Retry

from drift.fleet.domain import push_messages as push

logger = logging.getLogger(__name__)


def push_on_commit(message: push.PushMessage) -> None:
    """Publish once the surrounding transaction has committed."""
    transaction.on_commit(lambda: push_now(message), robust=True)


def push_now(message: push.PushMessage) -> None:
    """Publish at once, and keep a policy push for gateways that are not listening now."""
    raw = push.encode_push(message)
    try:
        pipeline = redis_client().pipeline(transaction=False)
        if message.number is not None:
            latest = push.PushMessage(message.epoch, message.number, message.etag, within=message.within)
            pipeline.set(push.LATEST, push.encode_push(latest))
        pipeline.publish(push.CHANNEL, raw)
        pipeline.execute()
    except redis.RedisError as error:
        logger.warning("push unavailable, left to the sweeper: %s", error)


def redis_client() -> redis.Redis:
    """Redis, with waits short enough for a request."""
    return _client(settings.REDIS_URL)


@functools.lru_cache(maxsize=2)
def _client(url: str) -> redis.Redis:
    # One retry at once, for a connection that a restart of Redis cut; a request must not wait for its return.
    return redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 1))
