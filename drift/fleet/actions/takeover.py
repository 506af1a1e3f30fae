"""A node that was made anew without its sensor's state takes over (docs/delivery.md#recreated-nodes)."""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.core.cache import cache
from django.utils import timezone
from redis import RedisError

from accounts import audit
from drift.fleet.actions.delivery import close_deliveries
from drift.fleet.actions.heartbeats import held_since
from drift.fleet.actions.pushes import push_on_commit
from drift.fleet.domain.push_messages import PushMessage
from drift.fleet.domain.sensor_health import LONG_SILENCE, OFFLINE_AFTER
from drift.fleet.models import FleetState, Sensor, SensorState, SensorStatus
from sensor import wire

NOTICED_SECONDS: Final = 3600
"""How long it is remembered that a sensor was seen in the future: a node that is refused tries again within minutes."""


def is_recreated(sensor: Sensor, request: wire.EnrolRequest) -> bool:
    """Return whether a request is of another machine or boot than a live sensor's, and that one is silent.

    The sensor's row is locked by the caller. Its status is locked here: a heartbeat is written before or after.
    """
    status = SensorStatus.objects.select_for_update().filter(sensor=sensor).first()
    if status is None or not _is_another(status, request):
        return False
    last = max(status.last_seen_at, held_since(sensor) or status.last_seen_at)
    return _silence(sensor, last) >= _silence_needed(sensor)


def take_over(sensor: Sensor, request: wire.EnrolRequest, token_name: str) -> None:
    """Retire the silent sensor: its credential is invalid while its node has another one."""
    now = timezone.now()
    Sensor.objects.filter(pk=sensor.pk).update(state=SensorState.RETIRED, ended_at=now)
    close_deliveries([sensor.pk])
    audit.record(
        None,
        "replaced",
        "sensor",
        sensor.pk,
        name=f"{sensor.cluster.name}/{sensor.node}",
        before={"state": sensor.state, "last_seen_at": sensor.status.last_seen_at.isoformat()},
        after={"state": SensorState.RETIRED, "sensor_version": request.sensor_version},
        actor_name=f"Enrolment token {token_name}",
    )
    push_on_commit(PushMessage(FleetState.objects.get().epoch, closed=[str(sensor.pk)]))


def _is_another(status: SensorStatus, request: wire.EnrolRequest) -> bool:
    """Return whether machine or boot differ. Unknown ones, of older sensors, prove nothing."""
    pairs = ((status.machine_digest, request.machine_digest), (status.boot_digest, request.boot_digest))
    return any(stored and sent and stored != sent for stored, sent in pairs)


def _silence(sensor: Sensor, last: dt.datetime) -> dt.timedelta:
    """Return for how long a sensor is known to be silent that was last seen at `last`."""
    now = timezone.now()
    if last <= now + OFFLINE_AFTER:
        return now - last
    # The clock was set back since. At first all sensors are like that, so silence counts from when it was noticed:
    # one that runs sends another heartbeat meanwhile, and its key is another.
    try:
        noticed = cache.get_or_set(f"seen-in-future:{sensor.pk}:{last.timestamp()}", now.timestamp(), NOTICED_SECONDS)
    except RedisError:
        return dt.timedelta(0)
    return dt.timedelta(seconds=now.timestamp() - (noticed or now.timestamp()))


def _silence_needed(sensor: Sensor) -> dt.timedelta:
    """Return how long a sensor must be silent: longer while all others are too.

    Then it is likely that the portal was away, and that they are about to return.
    """
    now = timezone.now()
    others = SensorStatus.objects.filter(sensor__state=SensorState.LIVE).exclude(sensor=sensor)
    # Not those of the future, from before the clock was set back.
    is_heard = others.filter(last_seen_at__range=(now - OFFLINE_AFTER, now + OFFLINE_AFTER)).exists()
    if is_heard or not others.filter(last_seen_at__gte=now - dt.timedelta(days=1)).exists():
        return OFFLINE_AFTER
    return LONG_SILENCE
