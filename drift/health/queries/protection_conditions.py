"""Conditions of the protection as a whole: environments, blocking, distribution of versions, what is detected."""

from __future__ import annotations

import datetime as dt
import functools
from typing import Final

from django.db.models import Exists, Max, OuterRef, Q
from django.utils import timezone

from accounts.models import AuditEntry, Viewer
from drift.fleet.models import Environment, FleetState, Rollout, Sensor, SensorState
from drift.fleet.queries.blocking_status import online_unaware
from drift.fleet.queries.sensors import visible_active_sensors
from drift.health.domain.outcomes import CheckOutcome, failing, ok
from drift.policy.domain.detection import alerts_on_nothing
from drift.policy.models import PolicyVersion

RESUMED_AFTER: Final = dt.timedelta(minutes=10)
"""Each sensor polls every five minutes, so by then it has twice."""
STUCK_AFTER: Final = dt.timedelta(seconds=60)
LOST_FOR: Final = dt.timedelta(days=7)
NAMED: Final = 5


def protection_outcomes(viewer: Viewer) -> dict[str, CheckOutcome]:
    """Return the outcome of each condition of the protection that is not counted in sensors."""
    return {
        "no_sensors": _sensors(viewer),
        "environment_off": _environments(viewer),
        "blocking_stopped": _blocking(viewer),
        "rollout_stuck": _stuck(),
        "rollout_paused": _paused(),
        "detection_narrowed": _detection(),
    }


def _sensors(viewer: Viewer) -> CheckOutcome:
    count = visible_active_sensors(viewer).count()
    if not count:
        return failing("none")
    lost = _lost_clusters(viewer)
    if not lost:
        return ok(f"{count} {'sensor' if count == 1 else 'sensors'}")
    names = ", ".join(f"{name} in {environment}" for name, environment, _ in lost[:NAMED])
    more = f" and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
    return failing(f"{names}{more}", min(since for _, _, since in lost), len(lost), is_named=True)


def _lost_clusters(viewer: Viewer) -> list[tuple[str, str, dt.datetime]]:
    """Return name, environment and time of the clusters that have no sensor any more, of which the last was silent.

    One whose last sensor was released or revoked was taken away on purpose.

    In an environment that has other sensors for a week: a cluster that was deleted stays in the portal. None of an
    environment is never well until the environment is retired.
    """
    live = Sensor.objects.filter(state=SensorState.LIVE)
    later = Sensor.objects.filter(cluster=OuterRef("cluster"), ended_at__gt=OuterRef("ended_at"))
    retired = Sensor.objects.visible_to(viewer).filter(
        ~Exists(live.filter(cluster=OuterRef("cluster"))),
        ~Exists(later.exclude(state=SensorState.RETIRED)),
        state=SensorState.RETIRED,
        cluster__environment__sensor_enabled=True,
        cluster__environment__retired_at=None,
    )
    is_covered = Exists(live.filter(cluster__environment=OuterRef("cluster__environment")))
    rows = retired.values_list("cluster__name", "cluster__environment__name", "cluster").annotate(
        since=Max("ended_at"), is_covered=is_covered
    )
    late = timezone.now() - LOST_FOR
    found = rows.order_by("cluster__environment__name", "cluster__name")
    return [(name, place, since) for name, place, _, since, is_covered in found if not is_covered or since > late]


def _environments(viewer: Viewer) -> CheckOutcome:
    off = list(Environment.objects.visible_to(viewer).filter(sensor_enabled=False, retired_at=None).order_by("name"))
    if not off:
        return ok()
    names = ", ".join(row.name for row in off[:NAMED])
    more = f" and {len(off) - NAMED} more" if len(off) > NAMED else ""
    switched = AuditEntry.objects.filter(
        object_type="environment", object_id__in=[str(row.pk) for row in off], after__sensor_enabled=False
    )
    # The last switch of each; what was switched off before the audit log begins has no time.
    last: dict[str, dt.datetime] = dict(switched.order_by("at").values_list("object_id", "at"))
    since = min(last.values()) if len(last) == len(off) else None
    return failing(f"{names}{more}", since, len(off))


def _blocking(viewer: Viewer) -> CheckOutcome:
    state, now = FleetState.objects.get(), timezone.now()
    if state.blocking_stopped:
        return failing("stopped on all sensors", state.blocking_changed_at)
    if state.blocking_changed_at > now - RESUMED_AFTER:
        return ok("in force")
    behind = online_unaware(viewer, state, now).count()
    if not behind:
        return ok("in force")
    do = "sensor does not know that it was resumed" if behind == 1 else "sensors do not know that it was resumed"
    return failing(f"{behind} {do}", state.blocking_changed_at, behind)


def _stuck() -> CheckOutcome:
    """Return whether every saved version is on its way: a rollout that waits or is paused has its own condition."""
    now = timezone.now()
    late = now - STUCK_AFTER
    spreading = Rollout.objects.filter(spread_at=None, paused_at=None, progress_at__lt=late)
    due = Q(waiting_until=None) | Q(waiting_until__lt=late)
    found = [
        *spreading.filter(due).order_by("version_id").values_list("version_id", "progress_at")[:1],
        *PolicyVersion.objects.filter(rollout=None, created_at__lt=late)
        .order_by("number")
        .values_list("number", "created_at")[:1],
    ]
    if not found:
        return ok()
    number, since = min(found, key=lambda row: row[1])
    return failing(f"version {number}", since)


def _paused() -> CheckOutcome:
    newest = Rollout.objects.order_by("-version_id").first()
    if newest is None or newest.paused_at is None or newest.spread_at is not None:
        return ok()
    return failing(f"version {newest.version_id}", newest.paused_at)


def _detection() -> CheckOutcome:
    newest = PolicyVersion.objects.order_by("-number").values_list("number", "digest", "created_at").first()
    if newest is None:
        return ok()
    number, digest, saved_at = newest
    count, is_ignored = _detected(number, digest)
    if not count:
        return failing(f"version {number} detects nothing", saved_at)
    return failing(f"version {number} ignores all drift", saved_at) if is_ignored else ok(f"{count} kinds")


@functools.lru_cache(maxsize=16)
def _detected(number: int, digest: str) -> tuple[int, bool]:
    """Return how many kinds a version detects, and whether it ignores them all. It never changes."""
    document = PolicyVersion.objects.values_list("document", flat=True).get(pk=number)
    return len(document["detect"]), alerts_on_nothing(document)
