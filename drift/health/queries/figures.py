"""Figures of the whole estate for metrics: counts alone, no names."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from django.db import connection
from django.db.models import Count, Max, Q, Sum
from django.utils import timezone

from accounts.models import User
from accounts.roles import Role
from drift.alerts.models import Alert, AlertTotal, Dimension, Status
from drift.fleet.models import DeliveryState, Rollout, Sensor, SensorState
from drift.fleet.queries.rollouts import MILESTONES, milestones, progress
from drift.fleet.queries.sensors import offline, online
from drift.policy.models import PolicyVersion
from sensor.names.loss_causes import LOSS_CAUSES

_EVERYTHING: Final = User(name="Driftwatch", role=Role.OWNER)
"""The viewer of everything on behalf of no user; never stored."""
_LOSSES: Final = """
SELECT cause, sum(least(number, 1e15))::bigint FROM fleet_sensorstatus AS status
JOIN fleet_sensor AS sensor ON sensor.id = status.sensor_id AND sensor.state = 'live'
CROSS JOIN LATERAL jsonb_each_text(status.counters -> 'lost') AS lost (cause, text)
CROSS JOIN LATERAL (SELECT CASE WHEN text ~ '^[0-9]{1,15}$' THEN text::numeric ELSE 1e15 END) AS counted (number)
GROUP BY cause
"""


def sensors_by_state() -> dict[str, int]:
    """Return how many sensors are online, offline and off, and how many of each state that has ended."""
    on = Q(cluster__environment__sensor_enabled=True, cluster__environment__retired_at=None)
    now = timezone.now()
    live = Q(state=SensorState.LIVE)
    ended = [state for state in SensorState.values if state != SensorState.LIVE]
    return dict(
        Sensor.objects.aggregate(
            online=Count("pk", filter=live & on & online(now)),
            offline=Count("pk", filter=live & on & offline(now)),
            off=Count("pk", filter=live & ~on),
            **{state: Count("pk", filter=Q(state=state)) for state in ended},
        )
    )


def losses_by_cause() -> dict[str, int]:
    """Return what live sensors lost since each started, by each of LOSS_CAUSES; causes of newer sensors are `other`."""
    with connection.cursor() as cursor:
        cursor.execute(_LOSSES)
        rows = cursor.fetchall()
    found = dict.fromkeys([*LOSS_CAUSES, "other"], 0)
    for cause, number in rows:
        found[cause if cause in found else "other"] += int(number)
    return found


def alerts_by_status() -> dict[str, int]:
    """Return how many alerts are kept, by status, from their tallies."""
    rows = AlertTotal.objects.filter(dimension=Dimension.RULE).values_list("status").annotate(Sum("count"))
    return {**dict.fromkeys(Status.values, 0), **dict(rows.order_by())}


def highest_alert() -> int:
    """Return the highest number of an alert; 0 before the first."""
    return int(Alert.objects.aggregate(highest=Max("pk"))["highest"] or 0)


@dataclass(frozen=True)
class DeliveryFigures:
    """The newest version, its sensors by state of their delivery, and when a share of them had applied it."""

    number: int
    by_state: dict[str, int]
    seconds: dict[int, float | None]


def newest_delivery() -> DeliveryFigures:
    """Return the figures of the newest version's rollout; of none before the first."""
    newest = PolicyVersion.objects.aggregate(number=Max("number"))["number"] or 0
    states = dict.fromkeys(DeliveryState.values, 0)
    rollout = Rollout.objects.filter(version_id=newest).first()
    if rollout is None:
        return DeliveryFigures(newest, states, dict.fromkeys(MILESTONES))
    counts = progress(_EVERYTHING, rollout)
    reached: list[tuple[int, dt.timedelta | None]] = milestones(_EVERYTHING, rollout, counts.total)
    seconds = {percent: time.total_seconds() if time else None for percent, time in reached}
    return DeliveryFigures(newest, {**states, **counts.by_state}, seconds)
