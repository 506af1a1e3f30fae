"""A version in waves: a part of the fleet tries it, a pause, the next part, then everybody.

A rollout copies the plan when its version is saved. Between two waves it waits until
`waiting_until`; paused, by a person or because too many sensors rejected it or alerts rose too far, until
a person resumes it.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift import queue
from drift.fleet.actions import notifications as alarms
from drift.fleet.models import Delivery, DeliveryState, Rollout, RolloutPlan
from drift.policy.models import PolicyVersion

SPREAD_CHUNK: Final = "fleet.spread_chunk"
FEWEST_ALERTS: Final = 10
"""So few say nothing about a version."""
FOR_ALL: Final = Q(rollout=None) | Q(rollout__waves_left=0)
"""Versions that everybody gets, or got: not those that are, or ended, in their waves."""


@dataclass(frozen=True)
class AlertRate:
    """Alerts, repeated ones once a minute, of so many sensors that run a version, in so many hours of all of them."""

    sensors: int
    alerts: int
    hours: float
    alerts_before: int
    """Of the same sensors, in the hour before the version was saved."""

    def hourly(self) -> float:
        """An hour and sensor, on the version."""
        return self.alerts / self.hours if self.hours else 0.0

    def hourly_before(self) -> float:
        """An hour and sensor, before it."""
        return self.alerts_before / self.sensors if self.sensors else 0.0

    def is_above(self, times: int) -> bool:
        """Whether they grew to more than so many times; one alert more is allowed for, as none may have been before."""
        allowed = times * (self.alerts_before + 1) / max(self.sensors, 1)
        return self.alerts >= FEWEST_ALERTS and self.hourly() > allowed


def save_rollout_plan(
    actor: User, *, waves: list[dict[str, Any]], pause_minutes: int, max_rejected: int, max_alerts: int | None
) -> None:
    """How versions that are saved from now on go out; those on their way keep their plan."""
    new = {"waves": waves, "pause_minutes": pause_minutes, "max_rejected": max_rejected, "max_alerts": max_alerts}
    with transaction.atomic(durable=True):
        plan = RolloutPlan.objects.select_for_update().get()
        before = {name: getattr(plan, name) for name in new}
        if before != new:
            RolloutPlan.objects.update(**new)
            audit.record(actor, "changed", "rollout plan", plan.pk, name="Rollout plan", before=before, after=new)


def plan_for(version: PolicyVersion) -> dict[str, Any]:
    """A new rollout's fields. A document that the fleet was given before, as a rollback's is, goes to all at once."""
    plan = RolloutPlan.objects.get()
    known = PolicyVersion.objects.filter(FOR_ALL, digest=version.digest, number__lt=version.number)
    if not plan.waves or known.exists():
        return {}
    return {
        "waves": plan.waves,
        "waves_left": len(plan.waves),
        "pause_minutes": plan.pause_minutes,
        "max_rejected": plan.max_rejected,
        "max_alerts": plan.max_alerts,
    }


def in_wave(rollout: Rollout) -> Q:
    """The sensors whose turn it is now, those of earlier waves perhaps among them."""
    if not rollout.waves_left:
        return Q()
    wave = rollout.waves[len(rollout.waves) - rollout.waves_left]
    if "percent" in wave:
        # Ids are random, so the first tenth of all possible ids are a tenth of the sensors.
        return Q(pk__lt=uuid.UUID(int=2**128 * wave["percent"] // 100))
    return Q(cluster__environment__in=wave["environments"])


def stable_number() -> int | None:
    """The newest version that is meant for everybody: what a sensor that is in no wave should run."""
    return PolicyVersion.objects.filter(FOR_ALL).order_by("-number").values_list("number", flat=True).first()


def is_overtaken(rollout: Rollout) -> bool:
    """Whether a newer version's own spread makes this one needless."""
    newer = PolicyVersion.objects.filter(number__gt=rollout.version_id)
    if not rollout.waves_left:  # one that is still in waves does not reach everybody
        newer = newer.filter(FOR_ALL)
    return newer.exists()


def end_wave(rollout: Rollout) -> None:
    """All sensors of this wave have been told. The caller holds the row's lock and saves it."""
    if rollout.waves_left:
        rollout.waiting_until = rollout.progress_at + dt.timedelta(minutes=rollout.pause_minutes)
    else:
        rollout.spread_at = rollout.progress_at


def halt_on_rejections() -> None:
    """Pause rollouts that too many of the sensors told so far have rejected; for the sweeper."""
    for rollout in Rollout.objects.filter(paused_at=None, spread_at=None, waves_left__gt=0, max_rejected__isnull=False):
        told = Delivery.objects.filter(rollout=rollout).exclude(state=DeliveryState.SUPERSEDED)
        counts = told.aggregate(all=Count("pk"), bad=Count("pk", filter=Q(state=DeliveryState.REJECTED)))
        if counts["bad"] * 100 > counts["all"] * (rollout.max_rejected or 0):
            reason = f"Halted: {counts['bad']} of {counts['all']} sensors rejected it"
            _pause(None, rollout, f"{reason} (limit {rollout.max_rejected} %)")


def watched() -> list[Rollout]:
    """Rollouts in waves that more alerts would halt; whoever knows of alerts reports their rate by `halt_noisy`."""
    return list(Rollout.objects.filter(paused_at=None, spread_at=None, waves_left__gt=0, max_alerts__isnull=False))


def halt_on_alerts(rollout: Rollout, rate: AlertRate) -> bool:
    """Pause a rollout whose sensors alert too much since they run it; whether it was."""
    limit = rollout.max_alerts
    if limit is None or not rate.is_above(limit):
        return False
    reason = (
        f"Halted: alerts an hour and sensor rose from {rate.hourly_before():.1f} to {rate.hourly():.1f} "
        f"on the {rate.sensors} sensors that run it (limit {limit} times)"
    )
    return _pause(None, rollout, reason[:200])


def begin_due_waves() -> list[int]:
    """Begin the next wave of rollouts whose pause is over; their ids, to be spread. For the sweeper."""
    begun = []
    due = Rollout.objects.filter(paused_at=None, waiting_until__lte=timezone.now(), waves_left__gt=0)
    for pk, left in due.values_list("pk", "waves_left"):
        rows = Rollout.objects.filter(pk=pk, waves_left=left, paused_at=None)  # two sweeps: one begins it
        if rows.update(waves_left=left - 1, waiting_until=None, spread_to=None, progress_at=timezone.now()):
            begun.append(pk)
    return begun


def pause_rollout(actor: User, rollout: Rollout) -> bool:
    """No more sensors are told of it. False where it was spread or paused already."""
    return _pause(actor, rollout, f"Paused by {actor.name}"[:200])


@transaction.atomic(durable=True)
def resume_rollout(actor: User, rollout: Rollout) -> bool:
    """Go on where it stood. False where it was not paused. One that had halted does not halt again by itself."""
    row = Rollout.objects.select_for_update().filter(pk=rollout.pk, spread_at=None, paused_at__isnull=False).first()
    if row is None:
        return False
    halted = row.pause_reason.startswith("Halted")
    row.paused_at, row.pause_reason = None, ""
    if halted:
        row.max_rejected = row.max_alerts = None
    row.save(update_fields=["paused_at", "pause_reason", "max_rejected", "max_alerts"])
    _record(actor, "resumed", row)
    queue.enqueue(SPREAD_CHUNK, row.pk)
    return True


@transaction.atomic
def _pause(actor: User | None, rollout: Rollout, reason: str) -> bool:
    rows = Rollout.objects.filter(pk=rollout.pk, spread_at=None, paused_at=None)
    if not rows.update(paused_at=timezone.now(), pause_reason=reason):
        return False
    _record(actor, "paused" if actor else "halted", rollout, reason)
    if actor is None:
        alarms.notify_halted_rollout(rollout, reason)
    return True


def _record(actor: User | None, verb: str, rollout: Rollout, reason: str = "") -> None:
    audit.record(
        actor, verb, "rollout", rollout.pk, name=f"v{rollout.version_id}", after={"reason": reason} if reason else None
    )
