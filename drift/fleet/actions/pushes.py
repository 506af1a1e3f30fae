"""Pushes to the gateway, which make sensors fetch their policy.

Without Redis a push costs one log line: the sweeper repeats it (docs/delivery.md#recovery-of-lost-messages).
"""

from __future__ import annotations

import logging
import uuid
from typing import Final

import msgspec
import redis
from django.db import transaction
from django.db.models import F

from accounts.request_context import current_request_id
from drift import queue
from drift.fleet.actions.bundles import signed_bundle
from drift.fleet.domain.push_messages import CHANNEL, LATEST, PushMessage, encode_push
from drift.fleet.models import FleetState, Sensor, SensorState
from drift.fleet.queries.rollout_waves import latest_version_number
from drift.fleet.queries.sensors import fetch_seconds

logger = logging.getLogger(__name__)

CHUNK: Final = 500
"""Sensors in one message."""
PUSH_ENVIRONMENT: Final = "fleet.push_environment"


def push_on_commit(message: PushMessage) -> None:
    """Publish the message once the surrounding transaction has committed."""
    transaction.on_commit(lambda: push_now(message), robust=True)


def push_now(message: PushMessage) -> None:
    """Publish the message, and keep a policy push for gateways that are not listening at the moment."""
    message = msgspec.structs.replace(message, request_id=current_request_id())
    try:
        pipeline = queue.redis_client().pipeline(transaction=False)
        if message.number is not None:
            latest = PushMessage(message.epoch, message.number, message.etag, within=message.within)
            pipeline.set(LATEST, encode_push(latest))
        pipeline.publish(CHANNEL, encode_push(message))
        pipeline.execute()
    except redis.RedisError as error:
        logger.warning("push not published, the sweeper will repeat it: %s", error)


def push_version(number: int, sensors: list[uuid.UUID], *, epoch: int | None = None, spread_over: float = 0.0) -> None:
    """Push version `number` to these sensors on commit; without any, only a new epoch."""
    if sensors or epoch is not None:
        current = FleetState.objects.get().epoch if epoch is None else epoch
        etag = signed_bundle(number).etag
        push_on_commit(PushMessage(current, number, etag, [str(sensor) for sensor in sensors], spread_over))


def push_version_to_all(number: int, sensors: list[uuid.UUID]) -> None:
    """Push version `number` to any number of sensors, in chunks."""
    for start in range(0, len(sensors), CHUNK):
        push_version(number, sensors[start : start + CHUNK], spread_over=fetch_seconds(len(sensors)))


def push_environment(environment_id: int) -> None:
    """Make the sensors of an environment fetch at once: they learn that it was switched off or on."""
    newest = latest_version_number()
    if newest is None:
        return
    sensors = Sensor.objects.filter(cluster__environment=environment_id, state=SensorState.LIVE)
    push_version_to_all(newest, list(sensors.order_by("pk").values_list("pk", flat=True)))


def raise_epoch() -> int:
    """Increment the epoch for a push that sensors might miss, within the caller's transaction; return it."""
    FleetState.objects.update(epoch=F("epoch") + 1)
    return FleetState.objects.values_list("epoch", flat=True).get()
