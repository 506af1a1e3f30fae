"""Control of rollouts: the plan of waves, pauses, halts, and the rollback."""

from __future__ import annotations

from typing import Any, Final

from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift import queue
from drift.fleet.actions.notifications import notify_halted_rollout
from drift.fleet.domain.rollout_limits import AlertRate, exceeds_rejections
from drift.fleet.errors import FleetError
from drift.fleet.models import Delivery, DeliveryState, Rollout, RolloutPlan
from drift.fleet.queries.rollout_waves import rollback_target
from drift.policy.actions.versions import save_document
from drift.policy.domain.conflicts import NewerVersion
from drift.policy.models import PolicyVersion

SPREAD_CHUNK: Final = "fleet.spread_chunk"


def save_rollout_plan(
    actor: User, *, waves: list[dict[str, Any]], pause_minutes: int, max_rejected: int, max_alerts: int | None
) -> None:
    """Save how later versions are rolled out; rollouts that exist keep their plan."""
    new = {"waves": waves, "pause_minutes": pause_minutes, "max_rejected": max_rejected, "max_alerts": max_alerts}
    with transaction.atomic(durable=True):
        plan = RolloutPlan.objects.select_for_update().get()
        before = {name: getattr(plan, name) for name in new}
        if before != new:
            RolloutPlan.objects.update(**new)
            audit.record(actor, "changed", "rollout plan", plan.pk, name="Rollout plan", before=before, after=new)


def pause_rollout(actor: User, rollout: Rollout) -> bool:
    """Notify no more sensors of it; return False if all were notified or it was paused already."""
    return _pause(actor, rollout, f"Paused by {actor.name}"[:200])


@transaction.atomic(durable=True)
def resume_rollout(actor: User, rollout: Rollout) -> bool:
    """Continue a paused rollout; return False if it was not paused. One that halted will not halt again."""
    row = Rollout.objects.select_for_update().filter(pk=rollout.pk, spread_at=None, paused_at__isnull=False).first()
    if row is None:
        return False
    halted = row.pause_reason.startswith("Halted")
    row.paused_at, row.pause_reason = None, ""
    if halted:  # Whoever resumes it knows the reason; the same counts would halt it again within seconds.
        row.max_rejected = row.max_alerts = None
    row.save(update_fields=["paused_at", "pause_reason", "max_rejected", "max_alerts"])
    _record(actor, "resumed", row)
    queue.enqueue(SPREAD_CHUNK, row.pk)
    return True


def halt_on_rejections() -> None:
    """Pause rollouts in waves that too many of the sensors notified so far have rejected."""
    for rollout in Rollout.objects.filter(paused_at=None, spread_at=None, waves_left__gt=0, max_rejected__isnull=False):
        notified = Delivery.objects.filter(rollout=rollout).exclude(state=DeliveryState.SUPERSEDED)
        counts = notified.aggregate(all=Count("pk"), rejected=Count("pk", filter=Q(state=DeliveryState.REJECTED)))
        if exceeds_rejections(counts["rejected"], counts["all"], rollout.max_rejected or 0):
            reason = f"Halted: {counts['rejected']} of {counts['all']} sensors rejected it"
            _pause(None, rollout, f"{reason} (limit {rollout.max_rejected} %)")


def halt_on_alerts(rollout: Rollout, rate: AlertRate) -> bool:
    """Pause a rollout whose sensors alert too much on its version; return whether it was paused."""
    limit = rollout.max_alerts
    if limit is None or not rate.exceeds(limit):
        return False
    reason = (
        f"Halted: alerts per hour and sensor rose from {rate.hourly_before():.1f} to {rate.hourly():.1f} "
        f"on the {rate.sensors} sensors that run it (limit {limit} times)"
    )
    return _pause(None, rollout, reason[:200])


def roll_back(actor: User, number: int) -> PolicyVersion:
    """Save the document that was in force before version `number` as the newest version, and return that.

    A new number rather than the old version: sensors reject a lower number than the one they have.
    Raises FleetError 409 `nothing_before`; 409 `not_newest` where `number` is no longer the newest version;
    ApproverRequired where the change needs a second person, DefaultMayNotBlock.
    """
    target = rollback_target(number)
    if target is None:
        raise FleetError("nothing_before", "No earlier version to roll back to.", status=409)
    not_newest = FleetError("not_newest", f"v{number} is no longer the newest version.", status=409)
    if PolicyVersion.objects.filter(number__gt=number).exists():
        raise not_newest
    comment = f"Rolled back from v{number} to v{target.number}"
    try:
        # It was in force before, and a rollback must not wait: what it leaves undetected is shown on every page.
        return save_document(actor, target.document, number, comment, was_in_force=True).version
    except NewerVersion:  # Saved between the check above and the lock of the Save.
        raise not_newest from None


@transaction.atomic
def _pause(actor: User | None, rollout: Rollout, reason: str) -> bool:
    rows = Rollout.objects.filter(pk=rollout.pk, spread_at=None, paused_at=None)
    if not rows.update(paused_at=timezone.now(), pause_reason=reason):
        return False
    _record(actor, "paused" if actor else "halted", rollout, reason)
    if actor is None:
        notify_halted_rollout(rollout, reason)
    return True


def _record(actor: User | None, verb: str, rollout: Rollout, reason: str = "") -> None:
    after = {"reason": reason} if reason else None
    audit.record(actor, verb, "rollout", rollout.pk, name=f"v{rollout.version_id}", after=after)
