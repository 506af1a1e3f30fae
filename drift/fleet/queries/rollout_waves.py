"""Which sensors a rollout reaches now, and which version the others should run."""

from __future__ import annotations

import uuid
from typing import Any, Final

from django.db.models import Q

from drift.fleet.models import Rollout, RolloutPlan
from drift.policy.domain.default_blocking import begins_to_block, blocks_by_default
from drift.policy.models import PolicyVersion

FOR_ALL: Final = Q(rollout=None) | Q(rollout__waves_left=0)
"""Versions that all sensors get or got: not those that are, or ended, in their waves."""

DEFAULT_BLOCK_WAVES: Final = [{"percent": 10}, {"percent": 50}]
"""The waves of a version whose default rule begins to block, where the plan has none."""
DEFAULT_BLOCK_PAUSE: Final = 10
"""Minutes, at least, between its waves."""


def latest_version_number() -> int | None:
    """Return the newest version's number; None before the first Save."""
    return PolicyVersion.objects.order_by("-number").values_list("number", flat=True).first()


def stable_version_number() -> int | None:
    """Return the newest version that is meant for all sensors: what a sensor outside every wave should run."""
    return PolicyVersion.objects.filter(FOR_ALL).order_by("-number").values_list("number", flat=True).first()


def rollback_target(number: int) -> PolicyVersion | None:
    """Return the newest version before `number` that all sensors got and whose document differs; None without one."""
    digest = PolicyVersion.objects.filter(number=number).values_list("digest", flat=True).first()
    if digest is None:
        return None
    older = PolicyVersion.objects.filter(FOR_ALL, number__lt=number)
    found: PolicyVersion | None = older.exclude(digest=digest).defer("document").order_by("-number").first()
    return found


def planned_waves(version: PolicyVersion) -> dict[str, Any]:
    """Return the fields of a new rollout that follow from the plan; {} where all sensors get the version at once.

    A version whose default rule begins to block goes in waves, whatever the plan.
    """
    plan = RolloutPlan.objects.get()
    # A document that the fleet ran before, as after a rollback, needs no trial.
    earlier = PolicyVersion.objects.filter(FOR_ALL, number__lt=version.number)
    if earlier.filter(digest=version.digest).exists():
        return {}
    waves, pause_minutes = plan.waves, plan.pause_minutes
    # Compared with what all sensors run: not with a version that is still in its waves, which this one overtakes.
    stable = earlier.order_by("-number").first()
    if blocks_by_default(version.document) and (stable is None or begins_to_block(stable.document, version.document)):
        waves, pause_minutes = waves or DEFAULT_BLOCK_WAVES, max(pause_minutes, DEFAULT_BLOCK_PAUSE)
    if not waves:
        return {}
    return {
        "waves": waves,
        "waves_left": len(waves),
        "pause_minutes": pause_minutes,
        "max_rejected": plan.max_rejected,
        "max_alerts": plan.max_alerts,
    }


def wave_filter(rollout: Rollout) -> Q:
    """Return the filter of the sensors whose turn it is now; those of earlier waves may match too."""
    if not rollout.waves_left:
        return Q()
    wave = rollout.waves[len(rollout.waves) - rollout.waves_left]
    if "percent" in wave:
        # Ids are random, so the lowest tenth of all possible ids belongs to a tenth of the sensors.
        return Q(pk__lt=uuid.UUID(int=2**128 * wave["percent"] // 100))
    return Q(cluster__environment__in=wave["environments"])


def is_overtaken(rollout: Rollout) -> bool:
    """Return whether a newer version makes this rollout needless."""
    newer = PolicyVersion.objects.filter(number__gt=rollout.version_id)
    if not rollout.waves_left:  # A newer version that is still in its waves does not reach all sensors.
        newer = newer.filter(FOR_ALL)
    return newer.exists()


def alert_limited_rollouts() -> list[Rollout]:
    """Return the rollouts in waves that halt when alerts increase."""
    return list(Rollout.objects.filter(paused_at=None, spread_at=None, waves_left__gt=0, max_alerts__isnull=False))
