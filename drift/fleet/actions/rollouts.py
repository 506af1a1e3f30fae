"""Spreading a version over the fleet, chunk by chunk, and sweeping up what was left undone.

PostgreSQL is the record: each step reads from it what is still to do, does it by conditional
updates, and may therefore run twice, at once, or after any crash.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from drift import queue
from drift.fleet.actions import notify_gateway as gateway
from drift.fleet.actions import rollout_waves as waves
from drift.fleet.actions.bundles import bundle_for
from drift.fleet.actions.delivery import OPEN, latest_number, set_desired_version
from drift.fleet.domain import push_messages as push
from drift.fleet.models import Delivery, DeliveryState, FleetState, Rollout, Sensor, SensorState
from drift.policy.models import PolicyVersion

CHUNK: Final = 500
"""Sensors a task: some 30 ms of work, so a lost worker costs little and other tasks get their turn."""
STALE: Final = dt.timedelta(seconds=10)
"""A spread that made no progress, or a push that brought no fetch, for this long is tried again."""
STILL_COMING: Final = 20
"""Pushes are not repeated while more than one in so many of those waiting came within STALE."""
REPEAT_FOR: Final = dt.timedelta(minutes=10)
"""Pushes are repeated this long after a spread; by then every sensor has polled twice."""
MAX_REPEATED: Final = 20_000
"""Sensors told again in one sweep, and sensors whose desired version one sweep mends."""

PUSH_ENVIRONMENT: Final = "fleet.tell_environment"


def open_rollout(version: PolicyVersion) -> Rollout:
    """The version's rollout; made within the transaction of its Save, O(1) however large the fleet."""
    found: Rollout | None = Rollout.objects.filter(version=version).first()
    return found or Rollout.objects.get_or_create(version=version, defaults=waves.plan_for(version))[0]


def start_rollout(number: int) -> None:
    """Spread version `number`, making its rollout where there is none yet."""
    spread_chunk(open_rollout(PolicyVersion.objects.defer("document").get(pk=number)).pk)


@transaction.atomic(durable=True)
def spread_chunk(rollout_id: int) -> None:
    """Give the next sensors their desired version, tell the gateway, and send for the next chunk.

    The rollout's row is locked; a second run that finds it locked leaves the work to the first,
    whose own next message or the sweeper goes on.
    """
    going = Rollout.objects.filter(pk=rollout_id, spread_at=None, paused_at=None, waiting_until=None)
    rollout = going.select_for_update(skip_locked=True).first()
    if rollout is None:
        return
    if waves.is_overtaken(rollout):
        Rollout.objects.filter(pk=rollout.pk).update(spread_at=timezone.now())
        return
    if rollout.spread_to is None:
        rollout.asks_within = asks_within(waves.in_wave(rollout))
    ids = _next_sensors(rollout)
    changed = set_desired_version(ids, rollout.version_id)
    rollout.spread_to = ids[-1] if ids else rollout.spread_to
    rollout.progress_at = timezone.now()
    is_last = len(ids) < CHUNK
    if is_last:
        waves.end_wave(rollout)
    rollout.save(update_fields=["spread_to", "progress_at", "asks_within", "spread_at", "waiting_until"])
    # The epoch rises when every sensor has its desired version: one that asks then finds it.
    epoch = raise_epoch() if is_last else None
    _tell(rollout.version_id, changed, epoch=epoch, within=rollout.asks_within)
    if not is_last:
        queue.enqueue(waves.SPREAD_CHUNK, rollout.pk)


def sweep() -> None:
    """Do what a lost message left undone; every 10 seconds, each part in its own transaction."""
    waves.halt_on_rejections()
    _end_overtaken()
    _start_missing()
    _go_on_spreading()
    _mend_desired()
    _tell_again()
    _finish()
    # Gateways learn the epoch from this even where they missed every push (DESIGN: keep-alives).
    gateway.push_now(push.PushMessage(epoch=FleetState.objects.get().epoch, within=asks_within(Q())))


def push_environment(environment_id: int) -> None:
    """Let the sensors of an environment ask at once: they find it switched off or on again."""
    newest = latest_number()
    if newest is None:
        return
    sensors = Sensor.objects.filter(cluster__environment=environment_id, state=SensorState.LIVE)
    _tell_all(newest, list(sensors.order_by("pk").values_list("pk", flat=True)))


def asks_within(whom: Q) -> float:
    """Seconds in which the live sensors of `whom` can ask without waiting for each other.

    All at once they would keep the web processes, and so people's pages, busy with a queue as long
    as the fleet, and would take the processor from the very tasks that tell the rest.
    """
    return Sensor.objects.filter(whom, state=SensorState.LIVE).count() / settings.SENSOR_ASKS_PER_SECOND


def raise_epoch() -> int:
    """One more push that sensors may miss; the new epoch. Call it in a transaction."""
    FleetState.objects.update(epoch=F("epoch") + 1)
    return FleetState.objects.values_list("epoch", flat=True).get()


def expected() -> Q:
    """Sensors, seen from a delivery, that a rollout waits for: live, their environment switched on."""
    environment = "sensor__cluster__environment"
    return Q(
        sensor__state=SensorState.LIVE,
        **{f"{environment}__sensor_enabled": True, f"{environment}__retired_at": None},
    )


def _next_sensors(rollout: Rollout) -> list[uuid.UUID]:
    sensors = Sensor.objects.filter(waves.in_wave(rollout), state=SensorState.LIVE)
    if rollout.spread_to:
        sensors = sensors.filter(pk__gt=rollout.spread_to)
    return list(sensors.order_by("pk").values_list("pk", flat=True)[:CHUNK])


def _tell(number: int, sensors: list[uuid.UUID], *, epoch: int | None = None, within: float = 0.0) -> None:
    """Push to these sensors, on commit."""
    if sensors or epoch is not None:
        known = FleetState.objects.get().epoch if epoch is None else epoch
        ids = [str(sensor) for sensor in sensors]
        gateway.push_on_commit(push.PushMessage(known, number, bundle_for(number).etag, ids, within))


def _tell_all(number: int, sensors: list[uuid.UUID]) -> None:
    """Push to as many sensors as there are, a chunk at a time."""
    within = len(sensors) / settings.SENSOR_ASKS_PER_SECOND
    for start in range(0, len(sensors), CHUNK):
        _tell(number, sensors[start : start + CHUNK], within=within)


def _start_missing() -> None:
    """Versions that were saved without a rollout, oldest first."""
    for version in PolicyVersion.objects.filter(rollout=None).defer("document").order_by("number"):
        queue.send(waves.SPREAD_CHUNK, open_rollout(version).pk)


def _go_on_spreading() -> None:
    stuck = Rollout.objects.filter(
        spread_at=None, paused_at=None, waiting_until=None, progress_at__lt=timezone.now() - STALE
    )
    for pk in [*stuck.values_list("pk", flat=True), *waves.begin_due_waves()]:
        queue.send(waves.SPREAD_CHUNK, pk)


def _end_overtaken() -> None:
    """Rollouts that waited or were paused when a newer version took their place."""
    for rollout in Rollout.objects.filter(spread_at=None):
        if waves.is_overtaken(rollout):
            Rollout.objects.filter(pk=rollout.pk, spread_at=None).update(spread_at=timezone.now(), waiting_until=None)


def _mend_desired() -> None:
    """Sensors that enrolled while a version was being saved, and so were missed by its spread."""
    newest = Rollout.objects.filter(waves_left=0).order_by("-version_id").first()
    if newest is None or newest.spread_at is None:
        return
    behind = Sensor.objects.filter(state=SensorState.LIVE).filter(
        Q(desired_version=None) | Q(desired_version__number__lt=newest.version_id)
    )
    ids = list(behind.values_list("pk", flat=True)[:MAX_REPEATED])
    within = len(ids) / settings.SENSOR_ASKS_PER_SECOND
    for start in range(0, len(ids), CHUNK):
        with transaction.atomic():
            _tell(newest.version_id, set_desired_version(ids[start : start + CHUNK], newest.version_id), within=within)


def _tell_again() -> None:
    """Sensors that were told and did not fetch: the push was lost, or they are away and will poll.

    Not while many still come: they wait for a busy web process, and would ask it a second time.
    """
    now = timezone.now()
    for rollout in Rollout.objects.filter(finished_at=None, progress_at__gt=now - REPEAT_FOR):
        _tell_waiting(rollout, now)


def _tell_waiting(rollout: Rollout, now: dt.datetime) -> None:
    due = now - STALE - dt.timedelta(seconds=rollout.asks_within)
    waiting = Delivery.objects.filter(expected(), rollout=rollout, state=DeliveryState.PENDING, created_at__lt=due)
    ids = list(waiting.values_list("sensor_id", flat=True)[:MAX_REPEATED])
    came = Delivery.objects.filter(rollout=rollout, fetched_at__gt=now - STALE).count()
    if came * STILL_COMING > len(ids):
        return
    _tell_all(rollout.version_id, ids)


def _finish() -> None:
    """A rollout is done when it was spread and no sensor that it waits for owes it a word."""
    waits = Delivery.objects.filter(expected(), rollout=OuterRef("pk"), state__in=OPEN)
    Rollout.objects.filter(~Exists(waits), finished_at=None, spread_at__isnull=False).update(finished_at=timezone.now())
