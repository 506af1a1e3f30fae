"""Sensors as pages and API list them."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import Viewer
from drift.fleet.models import Cluster, Sensor, SensorState
from drift.fleet.queries import keyset
from drift.fleet.queries.environments import OFFLINE_AFTER
from drift.fleet.queries.keyset import Page
from drift.policy.models import PolicyVersion


def visible_sensors(viewer: Viewer) -> QuerySet[Sensor]:
    """All that the viewer may see, with what their lines need."""
    rows: QuerySet[Sensor] = Sensor.objects.visible_to(viewer)
    return rows.select_related("cluster__environment", "status", "proof").defer("desired_version__document")


def cluster_sensors(viewer: Viewer, cluster: Cluster, state: str, node: str, after: str) -> Page[Sensor]:
    """Its sensors in this state whose node's name holds `node`, by node, from the place `after`."""
    rows = visible_sensors(viewer).filter(cluster=cluster, state=state, node__icontains=node)
    return keyset.page(rows, ("node", "pk"), after)


def is_offline(sensor: Sensor) -> bool:
    """Whether a live sensor has missed its last heartbeats."""
    status = getattr(sensor, "status", None)
    return sensor.state == SensorState.LIVE and (status is None or status.last_seen_at < timezone.now() - OFFLINE_AFTER)


def lag(sensor: Sensor) -> int:
    """Versions between what it should run and what it says it runs."""
    return max((sensor.desired_version_id or 0) - (sensor.applied_number or 0), 0)


def unmonitored_kinds(sensor: Sensor) -> list[str]:
    """Kinds that the policy it applied asks for and that it says it does not watch; [] before its first heartbeat."""
    status = getattr(sensor, "status", None)
    if status is None or not status.backend or "library" in status.capabilities or sensor.applied_number is None:
        return []
    versions = PolicyVersion.objects.filter(number=sensor.applied_number)
    asked = versions.values_list("document__detect", flat=True).first()
    return ["library"] if asked is not None and "library" in asked else []


def missing_abilities(sensor: Sensor) -> list[str]:
    """What it says it can't do of blocking, `block` or `hold`; [] before its first heartbeat.

    A sensor says `hold` only while its policy blocks something: without such a rule nobody can tell.
    """
    status = getattr(sensor, "status", None)
    if status is None or not status.backend:
        return []
    if "block" not in status.capabilities:
        return ["block"]
    blocking = [{"action": "block", "enabled": True}]
    applied = PolicyVersion.objects.filter(number=sensor.applied_number or 0, document__rules__contains=blocking)
    return ["hold"] if "hold" not in status.capabilities and applied.exists() else []
