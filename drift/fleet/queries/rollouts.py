"""How far a version has come."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Left
from django.utils import timezone

from accounts.models import User, Viewer
from drift.fleet.models import Delivery, DeliveryState, Environment, Rollout, SensorState
from drift.fleet.queries.protection import switched_off
from drift.fleet.queries.sensors import offline, visible_active_sensors
from drift.policy.models import PolicyVersion
from drift.web.cursors import KeysetPage, keyset_page, rows_before

EXPECTED: Final = Q(
    sensor__state=SensorState.LIVE,
    sensor__cluster__environment__sensor_enabled=True,
    sensor__cluster__environment__retired_at=None,
)
"""Deliveries to active sensors: those that a rollout waits for."""
OPEN_STATES: Final = (DeliveryState.PENDING, DeliveryState.FETCHED)
"""States that a rollout waits for."""
MILESTONES: Final = (50, 95, 100)
"""Percent of the sensors that a rollout waits for."""
REASON_LETTERS: Final = 64
"""Leading letters by which reasons are ordered: they become part of a cursor, and so of an address."""


@dataclass(frozen=True)
class Progress:
    """Counts of the sensors that a rollout waits for, by state of their delivery."""

    number: int
    total: int
    by_state: dict[str, int]
    finished: bool
    off: int = 0
    """Live sensors of switched-off environments among `total`: the rollout does not wait for them."""
    offline: int = 0
    """Sensors that no longer report: what they applied may not be in force."""

    @property
    def applied(self) -> int:
        return self.by_state.get(DeliveryState.APPLIED, 0)

    @property
    def rejected(self) -> int:
        return self.by_state.get(DeliveryState.REJECTED, 0)

    @property
    def percent(self) -> int:
        return 100 * self.applied // self.total if self.total else 100

    @property
    def line(self) -> str:
        """One sentence: `Version 3 is applied on 5 of 6 sensors, 1 rejected it`."""
        if not self.total:
            return f"Version {self.number}: no sensors yet"
        sensors = "sensor" if self.total == 1 else "sensors"
        offline = f", {self.offline} {'is' if self.offline == 1 else 'are'} offline" if self.offline else ""
        if self.applied == self.total:
            count = f"all {self.total}" if self.total > 1 else "1"
            return f"Version {self.number} is applied on {count} {sensors}{offline}"
        rejected = f", {self.rejected} rejected it" if self.rejected else ""
        off = f", {self.off} not protected (switched off)" if self.off else ""
        return f"Version {self.number} is applied on {self.applied} of {self.total} {sensors}{rejected}{off}{offline}"

    @property
    def css(self) -> str:
        """The icon's class."""
        return f"tone-{self.tone}"

    @property
    def tone(self) -> str:
        """The icon: error, warning, success or progress."""
        if self.rejected:
            return "error"
        if self.offline or (self.off and self.applied + self.off >= self.total):
            return "warning"
        return "success" if self.applied >= self.total else "progress"


def newest_rollouts(viewer: Viewer, before: int | None, limit: int) -> tuple[list[Rollout], int | None]:
    """Return up to `limit` rollouts of the newest versions below number `before`, and where the next page begins."""
    rows = Rollout.objects.visible_to(viewer).select_related("version__author").defer("version__document")
    found, older = rows_before(rows, "version_id", before, limit)
    return hide_other_places(viewer, found), older


def visible_rollout(viewer: Viewer, number: int) -> Rollout | None:
    """Return the rollout of version `number`; None where the viewer sees none."""
    rows = Rollout.objects.visible_to(viewer).select_related("version__author").defer("version__document")
    return next(iter(hide_other_places(viewer, rows.filter(version_id=number))), None)


def hide_other_places(viewer: Viewer, rollouts: Iterable[Rollout]) -> list[Rollout]:
    """Return the rollouts without what they say of places outside the viewer's scope. They must not be saved.

    The reason of a halt has counts of the whole estate, and the waves name environments.
    """
    rows = list(rollouts)
    if not isinstance(viewer, User) or viewer.sees_whole_estate:
        return rows
    seen = set(Environment.objects.visible_to(viewer).values_list("pk", flat=True))
    for row in rows:
        row.pause_reason = row.pause_reason.partition(":")[0]
        row.waves = [
            {"environments": [pk for pk in wave["environments"] if pk in seen]} if "environments" in wave else wave
            for wave in row.waves
        ]
    return rows


def latest_rollout(viewer: Viewer) -> Rollout | None:
    """Return the newest version's rollout; None before the first Save."""
    found: Rollout | None = Rollout.objects.visible_to(viewer).order_by("-version_id").first()
    return found


def is_newest(rollout: Rollout) -> bool:
    """Return whether no version was saved after it."""
    return not PolicyVersion.objects.filter(number__gt=rollout.version_id).exists()


def progress(viewer: Viewer, rollout: Rollout) -> Progress:
    """Return its progress, in two queries whatever the fleet's size."""
    return all_progress(viewer, [rollout])[0]


def newest_progress(viewer: Viewer, rollout: Rollout) -> Progress:
    """Return the progress of the newest version, with the sensors on which it protects nothing or may not.

    Those of switched-off environments count as not applied.
    """
    is_offline = Count("pk", filter=offline(timezone.now()))
    counts = visible_active_sensors(viewer).aggregate(active=Count("pk"), offline=is_offline)
    (found,), off = _all_progress(viewer, [rollout], counts["active"]), switched_off(viewer)
    off_sensors = off.sensors if off else 0
    return replace(found, total=found.total + off_sensors, off=off_sensors, offline=counts["offline"])


def all_progress(viewer: Viewer, rollouts: list[Rollout]) -> list[Progress]:
    """Return the progress of each rollout on the sensors that the viewer sees, in two queries for all of them."""
    return _all_progress(viewer, rollouts, visible_active_sensors(viewer).count())


def _all_progress(viewer: Viewer, rollouts: list[Rollout], active: int) -> list[Progress]:
    counts: dict[int, dict[str, int]] = {rollout.pk: {} for rollout in rollouts}
    visible = Delivery.objects.visible_to(viewer)
    rows = visible.filter(EXPECTED, rollout__in=counts).values_list("rollout", "state")
    for pk, state, count in rows.annotate(Count("pk")):
        counts[pk][state] = count
    return [
        Progress(
            rollout.version_id,
            _total(rollout, counts[rollout.pk], active),
            counts[rollout.pk],
            rollout.finished_at is not None,
        )
        for rollout in rollouts
    ]


def _total(rollout: Rollout, counts: dict[str, int], active: int) -> int:
    if rollout.finished_at is not None:
        return sum(count for state, count in counts.items() if state != DeliveryState.SUPERSEDED)
    # Deliveries are opened chunk by chunk: counted alone, they would read "0 of 0" at first.
    return max(active, sum(counts.values()))


def milestones(viewer: Viewer, rollout: Rollout, total: int) -> list[tuple[int, dt.timedelta | None]]:
    """Return (percent, time from Save until that share had applied it); None for milestones not reached yet.

    `total` is the number of sensors that the viewer sees.
    """
    visible = Delivery.objects.visible_to(viewer)
    applied = visible.filter(EXPECTED, rollout=rollout, state=DeliveryState.APPLIED)
    times = applied.order_by("acknowledged_at").values_list("acknowledged_at", flat=True)
    found = []
    for percent in MILESTONES:
        position = max(-(-percent * total // 100), 1) - 1
        moment = times[position : position + 1].first()
        found.append((percent, moment - rollout.created_at if moment else None))
    return found


def visible_deliveries(viewer: Viewer, rollout: Rollout) -> QuerySet[Delivery]:
    """Return its deliveries to the sensors that the viewer sees."""
    rows: QuerySet[Delivery] = Delivery.objects.visible_to(viewer)
    return rows.filter(rollout=rollout)


def rollout_deliveries(viewer: Viewer, rollout: Rollout, state: str, cursor: str = "") -> KeysetPage[Delivery]:
    """Return one page of `visible_deliveries` in `state` (all for any other string), those with a reason first."""
    rows = visible_deliveries(viewer, rollout).select_related("sensor__cluster__environment", "sensor__status")
    if state in DeliveryState.values:
        rows = rows.filter(state=state)
    order = ("-reason", "state", "sensor__node", "pk")
    return keyset_page(rows.annotate(reason=Left("error", REASON_LETTERS)), order, cursor)
