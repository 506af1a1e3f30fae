"""Alerts of one container that come from one place belong together: `apt install` makes hundreds."""

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
"""An alert joins what was seen in its container up to this long before or after."""
RUNTIMES: Final = ("containerd-shim", "conmon", "runc", "crun", "dockerd", "systemd", "init")
"""Ancestors outside the container: every process of a node has them, so they tell nothing."""
MAX_ANCESTORS: Final = 256
"""Kept for an incident; one that grows past it joins by the ancestors it has."""
MOST_NEAR: Final = 500
"""Incidents that a batch may join, the latest: who makes more of them in twenty minutes gains nothing by one joined."""
LOCK: Final = """
SELECT pg_advisory_xact_lock(hashtextextended('incident ' || %s || ' ' || container, 0))
FROM (SELECT unnest(%s::text[]) AS container ORDER BY 1) AS containers
"""
EXTEND: Final = """
UPDATE alerts_incident AS incident
SET first_seen = more.first_seen, last_seen = more.last_seen, ancestors = more.ancestors::jsonb
FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::text[])
    AS more (id, first_seen, last_seen, ancestors)
WHERE incident.id = more.id
"""


@dataclass(eq=False)
class Gathering:
    """An incident while the groups of a batch join it. `changed`: it differs from its row."""

    incident: Incident
    ancestors: set[str]
    changed: bool = False

    def takes(self, when: dt.datetime, ancestors: set[str]) -> bool:
        if not self.incident.first_seen - GAP <= when <= self.incident.last_seen + GAP:
            return False
        return not ancestors or not self.ancestors or not ancestors.isdisjoint(self.ancestors)

    def join(self, when: dt.datetime, ancestors: set[str]) -> None:
        incident = self.incident
        if incident.first_seen <= when <= incident.last_seen and ancestors <= self.ancestors:
            return
        incident.first_seen, incident.last_seen = min(incident.first_seen, when), max(incident.last_seen, when)
        incident.ancestors = sorted(self.ancestors | ancestors)[:MAX_ANCESTORS]
        self.ancestors, self.changed = set(incident.ancestors), True


def join_incidents(cluster_id: int, groups: list[EventGroup]) -> list[Incident | None]:
    """The incident that each group's new alert belongs to, found or made. None where no container is known.

    All groups are of one cluster: a container's id means nothing outside it, and is the sensor's own word. The
    container's incidents are locked until the alerts are stored, in the order of container ids.
    """
    containers = {group.first.event.container.id for group in groups} - {""}
    if not containers:
        return [None] * len(groups)
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [cluster_id, sorted(containers)])
    known = _near(cluster_id, containers, [group.first_seen for group in groups])
    found = [_gather(cluster_id, group, known) if group.first.event.container.id else None for group in groups]
    _store([each for gatherings in known.values() for each in gatherings])
    return [each.incident if each else None for each in found]


def _near(cluster_id: int, containers: set[str], times: list[dt.datetime]) -> dict[str, list[Gathering]]:
    """By container, the incidents that any of those times is near to."""
    rows = Incident.objects.filter(
        cluster=cluster_id,
        container_id__in=containers,
        last_seen__gte=min(times) - GAP,
        first_seen__lte=max(times) + GAP,
    ).order_by("-last_seen")[:MOST_NEAR]
    known: dict[str, list[Gathering]] = defaultdict(list)
    for row in rows:
        known[row.container_id].append(Gathering(row, set(row.ancestors)))
    return known


def _gather(cluster_id: int, group: EventGroup, known: dict[str, list[Gathering]]) -> Gathering:
    """The latest incident that the group may join, else a new one, which those after it may join."""
    event = group.first.event
    ancestors, here = _ancestors(event), known[event.container.id]
    taking = [each for each in here if each.takes(group.first_seen, ancestors)]
    if taking:
        found = max(taking, key=lambda each: each.incident.last_seen)
        found.join(group.first_seen, ancestors)
        return found
    incident = Incident(
        cluster_id=cluster_id,
        container_id=event.container.id,
        ancestors=sorted(ancestors),
        first_seen=group.first_seen,
        last_seen=group.last_seen,
    )
    here.append(Gathering(incident, ancestors))
    return here[-1]


def _store(gatherings: list[Gathering]) -> None:
    Incident.objects.bulk_create([each.incident for each in gatherings if each.incident.pk is None])
    changed = [each.incident for each in gatherings if each.changed]
    if changed:
        columns = zip(
            *((each.pk, each.first_seen, each.last_seen, json.dumps(each.ancestors)) for each in changed), strict=True
        )
        with connection.cursor() as cursor:
            cursor.execute(EXTEND, [list(column) for column in columns])


def _ancestors(event: wire.Event) -> set[str]:
    """ "pid name" of the parent and the ancestors that are inside the container."""
    above = [(each.pid, each.name) for each in event.process.ancestors]
    if parent := event.process.parent:
        above.append((parent.pid, parent.name))
    return {f"{pid} {name}" for pid, name in above if not name.startswith(RUNTIMES)}
