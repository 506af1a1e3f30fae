"""Group a container's alerts with a common ancestor process into incidents: one `apt install` raises hundreds."""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from django.db import connection

from drift.alerts.domain.event_groups import EventGroup
from drift.alerts.models import Incident
from sensor import wire

GAP: Final = dt.timedelta(minutes=10)
"""An alert joins an incident of its container that was active up to this long before or after."""
RUNTIMES: Final = ("containerd-shim", "conmon", "runc", "crun", "dockerd", "systemd", "init")
"""Ancestors outside the container: every process of a node has them, so they relate nothing."""
MAX_ANCESTORS: Final = 256
"""Ancestors stored with an incident. One that grows past it is joined by the ancestors it has."""
MAX_CANDIDATES: Final = 500
"""Incidents that a batch may join, the latest. More of them within twenty minutes are made by a flood."""
LOCK: Final = """
SELECT pg_advisory_xact_lock(hashtextextended('incident ' || %s || ' ' || container, 0))
FROM (SELECT unnest(%s::text[]) AS container ORDER BY 1) AS containers
"""
"""One lock per container, until the alerts are stored: two batches that both found no incident would make one each. In
the order of container ids, so that two batches never deadlock."""
EXTEND: Final = """
UPDATE alerts_incident AS incident
SET first_seen = more.first_seen, last_seen = more.last_seen, ancestors = more.ancestors::jsonb
FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::text[])
    AS more (id, first_seen, last_seen, ancestors)
WHERE incident.id = more.id
"""


@dataclass(eq=False)
class OpenIncident:
    """An incident while the alerts of a batch join it. `changed`: it differs from its row."""

    incident: Incident
    ancestors: set[str]
    changed: bool = False

    def accepts(self, when: dt.datetime, ancestors: set[str]) -> bool:
        if not self.incident.first_seen - GAP <= when <= self.incident.last_seen + GAP:
            return False
        # Unknown ancestors contradict nothing.
        return not ancestors or not self.ancestors or not ancestors.isdisjoint(self.ancestors)

    def add(self, when: dt.datetime, ancestors: set[str]) -> None:
        incident = self.incident
        if incident.first_seen <= when <= incident.last_seen and ancestors <= self.ancestors:
            return
        incident.first_seen, incident.last_seen = min(incident.first_seen, when), max(incident.last_seen, when)
        incident.ancestors = sorted(self.ancestors | ancestors)[:MAX_ANCESTORS]
        self.ancestors, self.changed = set(incident.ancestors), True


def join_incidents(cluster_id: int, groups: list[EventGroup]) -> list[Incident | None]:
    """Return the incident that each group's new alert joins, stored; None where the container is unknown.

    All groups are of one cluster: container ids are the sensor's own, and mean nothing outside its cluster.
    """
    containers = {group.first.event.container.id for group in groups} - {""}
    if not containers:
        return [None] * len(groups)
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [cluster_id, sorted(containers)])
    known = _candidates(cluster_id, containers, [group.first_seen for group in groups])
    joined = [_join(cluster_id, group, known) if group.first.event.container.id else None for group in groups]
    _store([each for incidents in known.values() for each in incidents])
    return [each.incident if each else None for each in joined]


def _candidates(cluster_id: int, containers: set[str], times: list[dt.datetime]) -> dict[str, list[OpenIncident]]:
    """Return, by container, the incidents that were active around any of the times."""
    rows = Incident.objects.filter(
        cluster=cluster_id,
        container_id__in=containers,
        last_seen__gte=min(times) - GAP,
        first_seen__lte=max(times) + GAP,
    ).order_by("-last_seen")[:MAX_CANDIDATES]
    known: dict[str, list[OpenIncident]] = defaultdict(list)
    for row in rows:
        known[row.container_id].append(OpenIncident(row, set(row.ancestors)))
    return known


def _join(cluster_id: int, group: EventGroup, known: dict[str, list[OpenIncident]]) -> OpenIncident:
    """Return the latest incident that accepts the group's alert, else a new one, which later groups may join too."""
    event = group.first.event
    ancestors, incidents = _ancestors(event), known[event.container.id]
    accepting = [each for each in incidents if each.accepts(group.first_seen, ancestors)]
    if accepting:
        latest = max(accepting, key=lambda each: each.incident.last_seen)
        latest.add(group.first_seen, ancestors)
        return latest
    incident = Incident(
        cluster_id=cluster_id,
        container_id=event.container.id,
        ancestors=sorted(ancestors),
        first_seen=group.first_seen,
        last_seen=group.last_seen,
    )
    incidents.append(OpenIncident(incident, ancestors))
    return incidents[-1]


def _store(incidents: list[OpenIncident]) -> None:
    Incident.objects.bulk_create([each.incident for each in incidents if each.incident.pk is None])
    changed = [each.incident for each in incidents if each.changed]
    if changed:
        columns = zip(
            *((each.pk, each.first_seen, each.last_seen, json.dumps(each.ancestors)) for each in changed), strict=True
        )
        with connection.cursor() as cursor:
            cursor.execute(EXTEND, [list(column) for column in columns])


def _ancestors(event: wire.Event) -> set[str]:
    """Return "pid name" of the parent and the ancestors inside the container."""
    above = [(each.pid, each.name) for each in event.process.ancestors]
    if parent := event.process.parent:
        above.append((parent.pid, parent.name))
    return {f"{pid} {name}" for pid, name in above if not name.startswith(RUNTIMES)}
