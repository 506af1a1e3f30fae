"""How far a version has come."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import Count, QuerySet
from django.db.models.functions import Left

from accounts.models import Viewer
from drift.fleet.actions.rollouts import expected
from drift.fleet.models import Delivery, DeliveryState, Rollout, Sensor, SensorState
from drift.fleet.queries import keyset
from drift.fleet.queries.keyset import Page
from drift.policy.models import PolicyVersion

MILESTONES = (50, 95, 100)
"""Percent of the sensors that a rollout waits for."""
REASON = 64
"""Letters by which reasons are in order: a place among them goes into an address."""


@dataclass(frozen=True)
class Progress:
    """Counts of the sensors that a rollout waits for: live, their environment switched on."""

    number: int
    total: int
    by_state: dict[str, int]
    finished: bool

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
        """One line for a person: `v3: 5 of 6 sensors applied, 1 rejected`."""
        if not self.total:
            return f"v{self.number}: no sensors yet"
        more = f", {self.rejected} rejected" if self.rejected else ""
        return (
            f"v{self.number}: {self.applied} of {self.total} {'sensor' if self.total == 1 else 'sensors'} applied{more}"
        )

    @property
    def css(self) -> str:
        """The icon's class."""
        return f"tone-{self.tone}"

    @property
    def tone(self) -> str:
        """Which icon goes with it: error, success or progress."""
        if self.rejected:
            return "error"
        return "success" if self.applied >= self.total else "progress"


def newest(viewer: Viewer, before: int | None, most: int) -> tuple[list[Rollout], int | None]:
    """Rollouts of the newest versions, of those below number `before` if given; and below which number more are."""
    rows = Rollout.objects.visible_to(viewer).select_related("version__author").defer("version__document")
    if before is not None:
        rows = rows.filter(version_id__lt=before)
    found = list(rows.order_by("-version_id")[: most + 1])
    return found[:most], found[most - 1].version_id if len(found) > most else None


def latest_rollout(viewer: Viewer) -> Rollout | None:
    """The newest version's; None before the first was started."""
    found: Rollout | None = Rollout.objects.visible_to(viewer).order_by("-version_id").first()
    return found


def is_newest(rollout: Rollout) -> bool:
    """Whether no version was saved after it."""
    return not PolicyVersion.objects.filter(number__gt=rollout.version_id).exists()


def progress(rollout: Rollout) -> Progress:
    """Two queries, whatever the fleet's size."""
    return progress_of([rollout])[0]


def progress_of(rollouts: list[Rollout]) -> list[Progress]:
    """The progress of each, in two queries for all.

    All expected sensors count while a version is being spread: the line must not say "0 of 0" at first.
    """
    total = _expected_sensors().count()
    counts: dict[int, dict[str, int]] = {rollout.pk: {} for rollout in rollouts}
    rows = Delivery.objects.filter(expected(), rollout__in=counts).values_list("rollout", "state")
    for pk, state, count in rows.annotate(Count("pk")):
        counts[pk][state] = count
    return [
        Progress(
            rollout.version_id,
            max(total, sum(counts[rollout.pk].values())) if rollout.finished_at is None else _told(counts[rollout.pk]),
            counts[rollout.pk],
            rollout.finished_at is not None,
        )
        for rollout in rollouts
    ]


def milestones(rollout: Rollout, total: int) -> list[tuple[int, dt.timedelta | None]]:
    """(percent, time from Save until that many had applied it); None where it has not come that far."""
    applied = Delivery.objects.filter(expected(), rollout=rollout, state=DeliveryState.APPLIED)
    times = applied.order_by("acknowledged_at").values_list("acknowledged_at", flat=True)
    found = []
    for percent in MILESTONES:
        place = max(-(-percent * total // 100), 1) - 1
        moment = times[place : place + 1].first()
        found.append((percent, moment - rollout.created_at if moment else None))
    return found


def deliveries(rollout: Rollout, state: str, after: str = "") -> Page[Delivery]:
    """Its deliveries in `state` (all where it is empty), those that want a look first, from the place `after`."""
    rows = rollout.deliveries.select_related("sensor__cluster__environment", "sensor__status")
    if state in DeliveryState.values:
        rows = rows.filter(state=state)
    return keyset.page(rows.annotate(why=Left("error", REASON)), ("-why", "state", "sensor__node", "pk"), after)


def _told(counts: dict[str, int]) -> int:
    return sum(count for state, count in counts.items() if state != DeliveryState.SUPERSEDED)


def _expected_sensors() -> QuerySet[Sensor]:
    return Sensor.objects.filter(
        state=SensorState.LIVE, cluster__environment__sensor_enabled=True, cluster__environment__retired_at=None
    )
