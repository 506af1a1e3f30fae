"""Alerts of one container that come from one place belong together: `apt install` makes hundreds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final

from django.db import connection

from drift.alerts.actions.groups import Group
from drift.alerts.models import Incident
from sensor import wire

GAP: Final = dt.timedelta(minutes=10)
"""An alert joins what was seen in its container up to this long before or after."""
RUNTIMES: Final = ("containerd-shim", "conmon", "runc", "crun", "dockerd", "systemd", "init")
"""Ancestors outside the container: every process of a node has them, so they tell nothing."""
MAX_ANCESTORS: Final = 256
"""Kept for an incident; one that grows past it joins by the ancestors it has."""


def incidents_for(cluster_id: int, groups: list[Group]) -> list[Incident | None]:
    """The incident that each group's new alert belongs to, found or made. None where no container is known.

    All groups are of one cluster: a container's id means nothing outside it, and is the sensor's own word. The
    container's incidents are locked until the alerts are stored, in the order of container ids.
    """
    containers = sorted({group.first.event.container.id for group in groups} - {""})
    with connection.cursor() as cursor:
        for container in containers:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"incident {cluster_id} {container}"]
            )
    return [_incident_for(cluster_id, group) if group.first.event.container.id else None for group in groups]


def _incident_for(cluster_id: int, group: Group) -> Incident:
    event = group.first.event
    ancestors = _ancestors(event)
    for incident in _near(cluster_id, event.container.id, group.first_seen):
        if not ancestors or not incident.ancestors or ancestors & set(incident.ancestors):
            _extend(incident, group, ancestors)
            return incident
    return Incident.objects.create(
        cluster_id=cluster_id,
        container_id=event.container.id,
        ancestors=sorted(ancestors),
        first_seen=group.first_seen,
        last_seen=group.last_seen,
    )


def _near(cluster_id: int, container_id: str, when: dt.datetime) -> Iterable[Incident]:
    return Incident.objects.filter(
        cluster=cluster_id, container_id=container_id, last_seen__gte=when - GAP, first_seen__lte=when + GAP
    ).order_by("-last_seen")


def _extend(incident: Incident, group: Group, ancestors: set[str]) -> None:
    incident.first_seen = min(incident.first_seen, group.first_seen)
    incident.last_seen = max(incident.last_seen, group.first_seen)
    incident.ancestors = sorted(set(incident.ancestors) | ancestors)[:MAX_ANCESTORS]
    incident.save(update_fields=["first_seen", "last_seen", "ancestors"])


def _ancestors(event: wire.Event) -> set[str]:
    """ "pid name" of the parent and the ancestors that are inside the container."""
    above = [(each.pid, each.name) for each in event.process.ancestors]
    if parent := event.process.parent:
        above.append((parent.pid, parent.name))
    return {f"{pid} {name}" for pid, name in above if not name.startswith(RUNTIMES)}
