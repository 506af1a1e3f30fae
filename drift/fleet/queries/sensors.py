"""Sensors as pages and API list them, and what each can and does."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import Viewer
from drift.fleet.domain.sensor_health import CANARY_INTERVAL, OFFLINE_AFTER
from drift.fleet.models import Cluster, Sensor, SensorState
from drift.policy.domain.diff import DEFAULT_NAME
from drift.policy.models import PolicyVersion
from drift.web.cursors import KeysetPage, keyset_page
from sensor.policy import DEFAULT_RULE
from sensor.policy.decisions import blocking_rules

ACTIVE: Final = Q(
    state=SensorState.LIVE, cluster__environment__sensor_enabled=True, cluster__environment__retired_at=None
)
"""Live sensors whose environment is switched on, whether online or offline."""


def online(now: dt.datetime) -> Q:
    """Return the filter of sensors that sent one of their last heartbeats.

    One from the future is from before the clock was set back: a sensor that runs sends another within a minute.
    """
    return Q(status__last_seen_at__range=(now - OFFLINE_AFTER, now + OFFLINE_AFTER))


def offline(now: dt.datetime) -> Q:
    """Return the filter of sensors that missed their last heartbeats, or never sent one."""
    seen_at = "status__last_seen_at"
    return Q(status=None) | Q(**{f"{seen_at}__lt": now - OFFLINE_AFTER}) | Q(**{f"{seen_at}__gt": now + OFFLINE_AFTER})


def visible_sensors(viewer: Viewer) -> QuerySet[Sensor]:
    """Return the sensors that the viewer may see, joined with what their table rows show."""
    rows: QuerySet[Sensor] = Sensor.objects.visible_to(viewer)
    return rows.select_related("cluster__environment", "status", "proof").defer("desired_version__document")


def active_sensors() -> QuerySet[Sensor]:
    """Return all ACTIVE sensors, for what concerns the whole fleet whoever looks: keys, rollouts."""
    return Sensor.objects.filter(ACTIVE)


def visible_active_sensors(viewer: Viewer) -> QuerySet[Sensor]:
    """Return the ACTIVE sensors that the viewer may see, for counts."""
    rows: QuerySet[Sensor] = Sensor.objects.visible_to(viewer)
    return rows.filter(ACTIVE)


def cluster_sensors(viewer: Viewer, cluster: Cluster, state: str, node: str, cursor: str) -> KeysetPage[Sensor]:
    """Return one page of the cluster's sensors in `state` whose node name contains `node`, by node."""
    rows = visible_sensors(viewer).filter(cluster=cluster, state=state, node__icontains=node)
    return keyset_page(rows, ("node", "pk"), cursor)


def fetch_seconds(sensors: int) -> float:
    """Return the seconds over which `sensors` sensors spread their fetches (docs/delivery.md#spread-fetches)."""
    return sensors / settings.SENSOR_ASKS_PER_SECOND


def live_fetch_seconds(filters: Q) -> float:
    """Return `fetch_seconds` of all live sensors that match `filters`."""
    return fetch_seconds(Sensor.objects.filter(filters, state=SensorState.LIVE).count())


def canary_seconds(sensor: Sensor) -> float | None:
    """Return the interval of this sensor's canaries; None where its environment has no proof of detection."""
    return CANARY_INTERVAL.total_seconds() if sensor.cluster.environment.proved_since else None


def is_offline(sensor: Sensor) -> bool:
    """Return whether a live sensor missed its last heartbeats."""
    status = getattr(sensor, "status", None)
    return sensor.state == SensorState.LIVE and (
        status is None or abs(timezone.now() - status.last_seen_at) > OFFLINE_AFTER
    )


def lag(sensor: Sensor) -> int:
    """Return by how many versions the applied version is behind the desired one."""
    return max((sensor.desired_version_id or 0) - (sensor.applied_number or 0), 0)


@dataclass(frozen=True)
class Gap:
    """A container that is monitored in part: its names as far as they are known, and what cannot be judged.

    `lost` are its execs that could not be judged: each cause with how many.
    """

    name: str
    workload: str
    image: str
    reason: str
    lost: list[tuple[str, int]]


GAP_REASONS: Final = {
    "layers_unreadable": "image layers unreadable: new and replaced files are uncertain and not blocked",
    "no_overlay": "root filesystem {filesystem}: files are compared with the image, nothing is blocked",
    "no_layers": "root filesystem {filesystem}: files are judged by change time, nothing is blocked",
    "root_unknown": "root filesystem {filesystem}: only memfds, mounts and volumes are judged",
    "execs_lost": "executions could not be judged",
}
"""What each of the wire's reasons means for a container."""


def gaps(sensor: Sensor) -> list[Gap]:
    """Return the containers that its last heartbeat lists as monitored in part."""
    status = getattr(sensor, "status", None)
    return [_gap(row) for row in status.gaps] if status is not None else []


def _gap(row: dict[str, Any]) -> Gap:
    filesystem = row.get("filesystem") or "unknown"
    # A newer sensor may know a reason that this portal does not.
    reason = GAP_REASONS.get(row["reason"], row["reason"]).format(filesystem=filesystem)
    workload = "/".join(filter(None, (row.get("namespace"), row.get("pod_name"))))
    name = row.get("name") or row["container_id"][:12]
    return Gap(name, workload, row.get("image_name") or "", reason, sorted(row.get("lost", {}).items()))


@dataclass(frozen=True)
class RulePause:
    """A rule that blocks nothing on a node for now; `name` is its id where the policy's version is unknown."""

    name: str
    workloads: int


def rule_pauses(sensor: Sensor) -> list[RulePause]:
    """Return the rules whose blocking its last heartbeat reports as paused."""
    status = getattr(sensor, "status", None)
    if status is None or not status.paused_rules or sensor.applied_number is None:
        return []
    version = PolicyVersion.objects.filter(number=sensor.applied_number).first()
    names = {rule["id"]: rule["name"] for rule in version.document["rules"]} if version is not None else {}
    names[DEFAULT_RULE] = DEFAULT_NAME
    return [RulePause(names.get(row["rule"], row["rule"]), row["workloads"]) for row in status.paused_rules]


def bundle_expiry(sensor: Sensor) -> dt.datetime | None:
    """Return when the bundle that it acknowledged last expires, or expired; None before the first."""
    return sensor.bundle_at + dt.timedelta(days=settings.BUNDLE_VALID_DAYS) if sensor.bundle_at else None


def unmonitored_kinds(sensor: Sensor) -> list[str]:
    """Return the kinds that its applied policy detects and that it does not monitor; [] before the first heartbeat."""
    status = getattr(sensor, "status", None)
    if status is None or not status.backend or "library" in status.capabilities or sensor.applied_number is None:
        return []
    versions = PolicyVersion.objects.filter(number=sensor.applied_number)
    detected = versions.values_list("document__detect", flat=True).first()
    return ["library"] if detected is not None and "library" in detected else []


def missing_abilities(sensor: Sensor) -> list[str]:
    """Return which of `block` and `hold` the sensor lacks; [] before the first heartbeat."""
    status = getattr(sensor, "status", None)
    if status is None or not status.backend:
        return []
    if "block" not in status.capabilities:
        return ["block"]
    # A sensor reports `hold` only while its policy has a blocking rule, so without one its absence means nothing.
    applied = PolicyVersion.objects.filter(number=sensor.applied_number or 0).first()
    blocks = applied is not None and bool(blocking_rules(applied.document))
    return ["hold"] if "hold" not in status.capabilities and blocks else []
