"""Rollouts: each version is given to the sensors chunk by chunk, and a sweeper mends what was interrupted.

PostgreSQL is the record. Each step reads from it what remains to be done and does it by conditional updates, so it may
run twice, at the same time, or after any crash (docs/delivery.md#recovery-of-lost-messages).
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from drift import queue
from drift.fleet.actions import pushes
from drift.fleet.actions.delivery import set_desired_version
from drift.fleet.actions.rollout_control import SPREAD_CHUNK, halt_on_rejections
from drift.fleet.domain.push_messages import PushMessage
from drift.fleet.models import Delivery, DeliveryState, FleetState, Rollout, Sensor, SensorState
from drift.fleet.queries.rollout_waves import is_overtaken, planned_waves, wave_filter
from drift.fleet.queries.rollouts import EXPECTED, OPEN_STATES
from drift.fleet.queries.sensors import fetch_seconds, live_fetch_seconds
from drift.policy.models import PolicyVersion

CHUNK: Final = pushes.CHUNK
"""Sensors a task: about 30 ms of work, so a lost worker costs little and other tasks get their turn."""
STALE: Final = dt.timedelta(seconds=10)
"""A rollout without progress, or a push without a fetch, is repeated after this time."""
STILL_COMING: Final = 20
"""Pushes are not repeated while more than one in this many waiting sensors fetched within STALE."""
REPEAT_FOR: Final = dt.timedelta(minutes=10)
"""Pushes are repeated for this long; by then every sensor has polled twice."""
MAX_REPEATED: Final = 20_000
"""Sensors that one sweep pushes again, and sensors whose desired version one sweep corrects."""


def open_rollout(version: PolicyVersion) -> Rollout:
    """Return the version's rollout; made within the transaction of the Save, in O(1) however large the fleet."""
    found: Rollout | None = Rollout.objects.filter(version=version).first()
    return found or Rollout.objects.get_or_create(version=version, defaults=planned_waves(version))[0]


def start_rollout(number: int) -> None:
    """Give version `number` to the first sensors, making its rollout where there is none."""
    spread_chunk(open_rollout(PolicyVersion.objects.defer("document").get(pk=number)).pk)


@transaction.atomic(durable=True)
def spread_chunk(rollout_id: int) -> None:
    """Set the desired version of the next sensors, push to them, and enqueue the next chunk."""
    going = Rollout.objects.filter(pk=rollout_id, spread_at=None, paused_at=None, waiting_until=None)
    # A second run that finds the row locked leaves the work to the first, which enqueues the next chunk itself.
    rollout = going.select_for_update(skip_locked=True).first()
    if rollout is None:
        return
    if is_overtaken(rollout):
        Rollout.objects.filter(pk=rollout.pk).update(spread_at=timezone.now())
        return
    sensors = Sensor.objects.filter(wave_filter(rollout), state=SensorState.LIVE)
    if rollout.spread_to is None:
        rollout.asks_within = fetch_seconds(sensors.count())
    else:
        sensors = sensors.filter(pk__gt=rollout.spread_to)
    ids = list(sensors.order_by("pk").values_list("pk", flat=True)[:CHUNK])
    changed = set_desired_version(ids, rollout.version_id)
    rollout.spread_to = ids[-1] if ids else rollout.spread_to
    rollout.progress_at = timezone.now()
    is_last = len(ids) < CHUNK
    if is_last and rollout.waves_left:
        rollout.waiting_until = rollout.progress_at + dt.timedelta(minutes=rollout.pause_minutes)
    elif is_last:
        rollout.spread_at = rollout.progress_at
    rollout.save(update_fields=["spread_to", "progress_at", "asks_within", "spread_at", "waiting_until"])
    # The epoch rises only once every sensor has its desired version: whoever fetches because of it must find that.
    epoch = pushes.raise_epoch() if is_last else None
    pushes.push_version(rollout.version_id, changed, epoch=epoch, spread_over=rollout.asks_within)
    if not is_last:
        queue.enqueue(SPREAD_CHUNK, rollout.pk)


def sweep() -> None:
    """Repeat work whose message was lost: every 10 seconds, each part in a transaction of its own."""
    halt_on_rejections()
    _end_overtaken()
    _start_missing()
    _continue_spreading()
    _correct_desired_versions()
    _repeat_pushes()
    _finish()
    # A gateway learns the epoch from this message even if it missed every push.
    pushes.push_now(PushMessage(epoch=FleetState.objects.get().epoch, within=live_fetch_seconds(Q())))


def _end_overtaken() -> None:
    """End rollouts that waited or were paused when a newer version replaced theirs."""
    for rollout in Rollout.objects.filter(spread_at=None):
        if is_overtaken(rollout):
            Rollout.objects.filter(pk=rollout.pk, spread_at=None).update(spread_at=timezone.now(), waiting_until=None)


def _start_missing() -> None:
    """Start the rollouts of versions that were saved without one, oldest first."""
    for version in PolicyVersion.objects.filter(rollout=None).defer("document").order_by("number"):
        queue.send(SPREAD_CHUNK, open_rollout(version).pk)


def _continue_spreading() -> None:
    """Enqueue rollouts without recent progress, and those whose next wave begins."""
    stuck = Rollout.objects.filter(
        spread_at=None, paused_at=None, waiting_until=None, progress_at__lt=timezone.now() - STALE
    )
    for pk in [*stuck.values_list("pk", flat=True), *begin_due_waves()]:
        queue.send(SPREAD_CHUNK, pk)


def begin_due_waves() -> list[int]:
    """Begin the next wave of rollouts whose pause is over; return their ids."""
    begun = []
    due = Rollout.objects.filter(paused_at=None, waiting_until__lte=timezone.now(), waves_left__gt=0)
    for pk, left in due.values_list("pk", "waves_left"):
        # The count in the WHERE clause lets only one of two sweeps begin the wave.
        rows = Rollout.objects.filter(pk=pk, waves_left=left, paused_at=None)
        if rows.update(waves_left=left - 1, waiting_until=None, spread_to=None, progress_at=timezone.now()):
            begun.append(pk)
    return begun


def _correct_desired_versions() -> None:
    """Reach sensors that enrolled while a version was being saved, and that its spread therefore missed."""
    newest = Rollout.objects.filter(waves_left=0).order_by("-version_id").first()
    if newest is None or newest.spread_at is None:
        return
    behind = Sensor.objects.filter(state=SensorState.LIVE).filter(
        Q(desired_version=None) | Q(desired_version__number__lt=newest.version_id)
    )
    ids = list(behind.values_list("pk", flat=True)[:MAX_REPEATED])
    for start in range(0, len(ids), CHUNK):
        with transaction.atomic():
            changed = set_desired_version(ids[start : start + CHUNK], newest.version_id)
            pushes.push_version(newest.version_id, changed, spread_over=fetch_seconds(len(ids)))


def _repeat_pushes() -> None:
    """Push again to sensors that have not fetched: the push was lost, or they are away and will poll."""
    now = timezone.now()
    for rollout in Rollout.objects.filter(finished_at=None, progress_at__gt=now - REPEAT_FOR):
        due = now - STALE - dt.timedelta(seconds=rollout.asks_within)
        waiting = Delivery.objects.filter(EXPECTED, rollout=rollout, state=DeliveryState.PENDING, created_at__lt=due)
        ids = list(waiting.values_list("sensor_id", flat=True)[:MAX_REPEATED])
        # While many still fetch, the others wait for a busy web process, and a push would make them fetch twice.
        came = Delivery.objects.filter(rollout=rollout, fetched_at__gt=now - STALE).count()
        if came * STILL_COMING <= len(ids):
            pushes.push_version_to_all(rollout.version_id, ids)


def _finish() -> None:
    """Finish rollouts that reached every sensor and wait for none."""
    waits = Delivery.objects.filter(EXPECTED, rollout=OuterRef("pk"), state__in=OPEN_STATES)
    Rollout.objects.filter(~Exists(waits), finished_at=None, spread_at__isnull=False).update(finished_at=timezone.now())
