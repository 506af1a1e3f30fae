"""Record when each task last ended, and count them: the processes of a worker share no memory, so in Redis."""

from __future__ import annotations

import logging

import redis

from drift import queue
from drift.health.domain.task_reports import ENDED, ENDED_AT, FAILED, SECONDS

logger = logging.getLogger(__name__)


def record_task(name: str, *, succeeded: bool, seconds: float) -> None:
    """Record that a task ended. Without Redis nothing is recorded: no task would have come."""
    client = queue.redis_client()
    try:
        pipeline = client.pipeline(transaction=False)
        pipeline.hincrby(ENDED if succeeded else FAILED, name, 1)
        pipeline.hincrbyfloat(SECONDS, name, round(seconds, 4))
        if succeeded:
            now, _ = client.time()
            pipeline.hset(ENDED_AT, name, int(now))
        pipeline.execute()
    except redis.RedisError as error:
        logger.warning("the end of task %s was not recorded: %s", name, error)
