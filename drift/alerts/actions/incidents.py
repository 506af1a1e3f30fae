"""Group a workload's alerts of one story with a common ancestor into incidents: one `apt install` raises hundreds."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from accounts.prepared_rows import prepared_rows
from drift.alerts.actions.bulk_insert import insert_families
from drift.alerts.domain.event_groups import EventGroup, workload_scopes
from drift.alerts.domain.incident_story import Story, ancestors, event_story, programs
from drift.alerts.models import Incident
from sensor import wire

GAP: Final = dt.timedelta(minutes=10)
"""An alert joins an incident of its workload that was active up to this long before or after."""
MAX_ANCESTORS: Final = 256
"""Ancestors stored with an incident. One that grows past it is joined by the ancestors it has."""
MAX_CANDIDATES: Final = 500
"""Incidents that a batch may join, the latest. More of them within twenty minutes are made by a flood."""
LOCK: Final = """
SELECT pg_advisory_xact_lock(hashtextextended('incident ' || %s::bigint || ' ' || place, 0))
FROM (SELECT unnest(%s::text[]) AS place ORDER BY 1) AS places
"""
"""One lock per container and workload, until the alerts are stored: two batches that both found no incident would make
one each. In one order, so that two batches never deadlock."""
CANDIDATES: Final = """
SELECT id, container_id, scope, story, ancestors::text, first_seen, last_seen FROM alerts_incident
WHERE cluster_id = %s AND (container_id = ANY(%s) OR scope = ANY(%s)) AND last_seen >= %s AND first_seen <= %s
ORDER BY last_seen DESC LIMIT %s
"""
"""A statement of its own: its snapshot is taken once the lock is held."""
EXTEND: Final = """
UPDATE alerts_incident AS incident
SET first_seen = more.first_seen, last_seen = more.last_seen, ancestors = more.ancestors::jsonb
FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::text[])
    AS more (id, first_seen, last_seen, ancestors)
WHERE incident.id = more.id
"""


class JoiningAlert(NamedTuple):
    """What decides which incident a new alert joins. `ancestors`: as "pid name"."""

    container: str
    scope: uuid.UUID
    story: Story
    ancestors: set[str]


@dataclass(eq=False)
class OpenIncident:
    """An incident while the alerts of a batch join it. `changed`: it differs from its row."""

    incident: Incident
    ancestors: set[str]
    changed: bool = False
    programs: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.programs = programs(self.ancestors)

    def accepts(self, when: dt.datetime, alert: JoiningAlert) -> bool:
        """Return whether an alert of the same container or workload joins."""
        if alert.story != self.incident.story:
            return False
        if not self.incident.first_seen - GAP <= when <= self.incident.last_seen + GAP:
            return False
        # Unknown ancestors contradict nothing.
        if not alert.ancestors or not self.ancestors or not alert.ancestors.isdisjoint(self.ancestors):
            return True
        # In another container the same program is another process.
        in_another = alert.container != self.incident.container_id
        return in_another and not programs(alert.ancestors).isdisjoint(self.programs)

    def add(self, when: dt.datetime, ancestors: set[str]) -> None:
        incident = self.incident
        if incident.first_seen <= when <= incident.last_seen and ancestors <= self.ancestors:
            return
        incident.first_seen, incident.last_seen = min(incident.first_seen, when), max(incident.last_seen, when)
        incident.ancestors = sorted(self.ancestors | ancestors)[:MAX_ANCESTORS]
        self.ancestors, self.changed = set(incident.ancestors), True
        self.programs = programs(self.ancestors)


class IncidentCandidates:
    """The incidents that a batch may join, by container and by workload."""

    def __init__(self) -> None:
        self.all: list[OpenIncident] = []
        self._by_place: dict[str, list[OpenIncident]] = defaultdict(list)

    def add(self, each: OpenIncident) -> None:
        """Offer an incident to the alerts of its container and its workload."""
        self.all.append(each)
        for place in (each.incident.container_id, str(each.incident.scope)):
            self._by_place[place].append(each)

    def near(self, alert: JoiningAlert) -> dict[OpenIncident, None]:
        """Return the incidents of the alert's container and workload, each once."""
        return dict.fromkeys([*self._by_place[alert.container], *self._by_place[str(alert.scope)]])


def join_incidents(cluster_id: int, groups: list[EventGroup]) -> list[Incident | None]:
    """Return the incident that each group's new alert joins, stored; None where the container is unknown.

    All groups are of one cluster: container ids are the sensor's own, and mean nothing outside its cluster.
    """
    joining = [
        _joining(group.first.event, scope)
        for group, scope in zip(groups, workload_scopes(cluster_id, groups), strict=True)
    ]
    known = [each for each in joining if each.container]
    if not known:
        return [None] * len(groups)
    prepared_rows(LOCK, [cluster_id, sorted({str(place) for each in known for place in (each.container, each.scope)})])
    candidates = _candidates(cluster_id, known, [group.first_seen for group in groups])
    joined = [
        _join(cluster_id, group, alert, candidates) if alert.container else None
        for group, alert in zip(groups, joining, strict=True)
    ]
    _store(candidates.all)
    return [each.incident if each else None for each in joined]


def _joining(event: wire.Event, scope: uuid.UUID) -> JoiningAlert:
    above = {f"{pid} {name}" for pid, name in ancestors(event)}
    return JoiningAlert(event.container.id, scope, event_story(event), above)


def _candidates(cluster_id: int, alerts: list[JoiningAlert], times: list[dt.datetime]) -> IncidentCandidates:
    """Return the incidents of the alerts' containers and workloads that were active around any of the times."""
    containers, scopes = sorted({each.container for each in alerts}), sorted({each.scope for each in alerts})
    times_around = min(times) - GAP, max(times) + GAP
    found = IncidentCandidates()
    rows = prepared_rows(CANDIDATES, [cluster_id, containers, scopes, *times_around, MAX_CANDIDATES])
    for pk, container_id, scope, story, above, first_seen, last_seen in rows:
        incident = Incident(
            pk=pk,
            cluster_id=cluster_id,
            container_id=container_id,
            scope=scope,
            story=story,
            ancestors=json.loads(above),
            first_seen=first_seen,
            last_seen=last_seen,
        )
        found.add(OpenIncident(incident, set(incident.ancestors)))
    return found


def _join(cluster_id: int, group: EventGroup, alert: JoiningAlert, candidates: IncidentCandidates) -> OpenIncident:
    """Return the latest incident that accepts the group's alert, else a new one, which later groups may join too."""
    accepting = [each for each in candidates.near(alert) if each.accepts(group.first_seen, alert)]
    if accepting:
        latest = max(accepting, key=lambda each: each.incident.last_seen)
        latest.add(group.first_seen, alert.ancestors)
        return latest
    incident = Incident(
        cluster_id=cluster_id,
        container_id=alert.container,
        scope=alert.scope,
        story=alert.story,
        ancestors=sorted(alert.ancestors),
        first_seen=group.first_seen,
        last_seen=group.last_seen,
    )
    made = OpenIncident(incident, alert.ancestors)
    candidates.add(made)
    return made


def _store(incidents: list[OpenIncident]) -> None:
    insert_families([(each.incident, ()) for each in incidents if each.incident.pk is None])
    changed = [each.incident for each in incidents if each.changed]
    if changed:
        columns = zip(
            *((each.pk, each.first_seen, each.last_seen, json.dumps(each.ancestors)) for each in changed), strict=True
        )
        prepared_rows(EXTEND, [list(column) for column in columns])
