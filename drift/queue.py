"""How actions reach Celery and Redis.

Actions send tasks by name, so that tasks may import actions without a cycle, on commit, and never fail their caller: a
message that cannot be sent is logged and left to the sweeper. PostgreSQL is the record, the queue makes it fast.
"""

from __future__ import annotations

import functools
import logging

import redis
from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

from drift.redis_servers import sync_client

logger = logging.getLogger(__name__)

Argument = str | int | bool | None


def enqueue(task: str, *args: Argument) -> None:
    """Send `task` with `args` (ids, never objects) once the surrounding transaction has committed."""
    transaction.on_commit(lambda: send(task, *args), robust=True)


def send(task: str, *args: Argument) -> None:
    """Send at once; without a broker this costs a log line, not the request."""
    try:
        current_app.send_task(task, args=args, retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("queue unavailable, %s left to the sweeper: %s", task, error)


def redis_client() -> redis.Redis:
    """Return a Redis client with timeouts short enough for a request."""
    return _redis_client(settings.REDIS_URL)


def new_redis_client() -> redis.Redis:
    """Return a client with a connection of its own, for a thread that must not wait for others."""
    return _new_client(settings.REDIS_URL)


@functools.lru_cache(maxsize=2)
def _redis_client(url: str) -> redis.Redis:
    return _new_client(url)


def _new_client(url: str) -> redis.Redis:
    # One immediate retry replaces a connection that a restart of Redis closed; a request must not wait for its return.
    return sync_client(url, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 1))
