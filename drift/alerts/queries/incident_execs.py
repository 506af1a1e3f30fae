"""What the containers of an incident executed before, between and after its alerts."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from accounts.models import User
from accounts.prepared_rows import prepared_rows
from drift.alerts.domain.process_tree import SAME_EXEC, TreeExec, tree_exec
from drift.alerts.models import Alert, StoredExec
from drift.alerts.queries.exec_tree import BEFORE, FOLLOWED, drift_notes

MAX_EXECS: Final = 300
"""Execs on a page of the timeline."""
WITHIN: Final = """
SELECT ran.sensor_id, ran.exec_id FROM unnest(%s::uuid[], %s::text[]) AS place (sensor_id, container_id)
CROSS JOIN LATERAL (
    SELECT sensor_id, exec_id, observed_at FROM alerts_storedexec AS stored
    WHERE stored.sensor_id = place.sensor_id AND stored.container_id = place.container_id
        AND observed_at > %s AND observed_at <= %s ORDER BY observed_at LIMIT %s
) AS ran ORDER BY ran.observed_at LIMIT %s
"""
BEFORE_FIRST: Final = """
SELECT ran.sensor_id, ran.exec_id FROM unnest(%s::uuid[], %s::text[]) AS place (sensor_id, container_id)
CROSS JOIN LATERAL (
    SELECT sensor_id, exec_id, observed_at FROM alerts_storedexec AS stored
    WHERE stored.sensor_id = place.sensor_id AND stored.container_id = place.container_id
        AND observed_at <= %s ORDER BY observed_at DESC LIMIT %s
) AS ran ORDER BY ran.observed_at DESC LIMIT %s
"""
"""By container, so that each is read from its index and no further than the page shows."""


@dataclass(frozen=True)
class TimelineExec:
    """An exec; `place`: its pod, or its container's id where the pod is not known."""

    ran: TreeExec
    place: str


@dataclass(frozen=True)
class TimelineExecs:
    """By position: the execs before each alert of the page, and at the end those after the last."""

    gaps: list[list[TimelineExec]]
    further: bool

    @property
    def count(self) -> int:
        return sum(map(len, self.gaps))


def timeline_execs(user: User, alerts: Sequence[Alert], since: dt.datetime | None, *, is_last: bool) -> TimelineExecs:
    """Return what the containers of a page's alerts executed around them, in the order of time.

    `since`: the start of the last alert of the page before, None on the first page, which begins with what ran before
    the incident. `is_last`: what followed the last alert is on this page.
    """
    places = {(each.sensor_id, each.container_id): each.pod_name for each in alerts if each.container_id}
    gaps: list[list[TimelineExec]] = [[] for _ in range(len(alerts) + 1)]
    if not places:
        return TimelineExecs(gaps, further=False)
    sensors, containers = (list(column) for column in zip(*places, strict=True))
    first, last = alerts[0].first_seen, alerts[-1].first_seen
    until = last + FOLLOWED if is_last else last
    keys = prepared_rows(WITHIN, [sensors, containers, since or first, until, MAX_EXECS + 1, MAX_EXECS + 1])
    further = len(keys) > MAX_EXECS
    keys = keys[:MAX_EXECS]
    if since is None:
        keys += prepared_rows(BEFORE_FIRST, [sensors, containers, first, BEFORE, BEFORE])
    rows = StoredExec.objects.visible_to(user).filter(
        sensor__in={sensor for sensor, _ in keys}, exec_id__in=[exec_id for _, exec_id in keys]
    )
    shown = [
        (each, tree_exec(each.exec_id, each.observed_at, each.detail))
        for each in rows.order_by("observed_at", "exec_id")
        if (each.sensor_id, each.container_id) in places
    ]
    notes = drift_notes(user, sensors, [ran for _, ran in shown])
    starts, started = [each.first_seen for each in alerts], {each.pk: each.first_seen for each in alerts}
    for row, ran in shown:
        note = notes.get(ran.exec_id)
        if note and note.alert in started and abs(started[note.alert] - ran.at) <= SAME_EXEC:
            continue  # its alert is a line of its own
        place = places[row.sensor_id, row.container_id] or row.container_id[:12]
        gaps[bisect_left(starts, ran.at)].append(TimelineExec(replace(ran, drift=note), place))
    return TimelineExecs(gaps, further)
