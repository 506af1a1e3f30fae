"""Which sensors acknowledged that blocking was stopped or resumed, and which cannot block at all."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Final

from django.db.models import Q, QuerySet

from accounts.models import Viewer
from drift.fleet.models import FleetState, Sensor
from drift.fleet.queries.sensors import ACTIVE, online, visible_active_sensors, visible_sensors

SHOWN: Final = 5
"""Sensors that are named where some cannot block."""


@dataclass(frozen=True)
class Acknowledgement:
    """How many of the active sensors that the viewer sees acknowledged a bundle made since blocking was switched."""

    acknowledged: int
    total: int

    @property
    def line(self) -> str:
        """`acknowledged by 5 of 6 sensors`."""
        return f"acknowledged by {self.acknowledged} of {self.total} {'sensor' if self.total == 1 else 'sensors'}"


def acknowledgement(viewer: Viewer, state: FleetState) -> Acknowledgement:
    """Return the counts, in two queries whatever the fleet's size."""
    active = visible_active_sensors(viewer)
    total = active.count()
    return Acknowledgement(total - active.filter(_unacknowledged(state)).count(), total)


def unacknowledged_sensors(viewer: Viewer, state: FleetState, after: uuid.UUID | None = None) -> QuerySet[Sensor]:
    """Return the active sensors that have not acknowledged the switch, by cluster and node, from behind `after`."""
    rows = visible_sensors(viewer).filter(ACTIVE & _unacknowledged(state))
    # Sensors acknowledge, and leave the list, while somebody reads it: pages counted from its start would skip some.
    last = Sensor.objects.visible_to(viewer).filter(pk=after).values_list("cluster__name", "node").first()
    if last is not None:
        cluster, node = last
        same_cluster = Q(cluster__name=cluster) & (Q(node__gt=node) | Q(node=node, pk__gt=after))
        rows = rows.filter(Q(cluster__name__gt=cluster) | same_cluster)
    return rows.order_by("cluster__name", "node", "pk")


def online_unaware(viewer: Viewer, state: FleetState, now: dt.datetime) -> QuerySet[Sensor]:
    """Return the active sensors that are online and whose newest bundle is from before the switch."""
    return visible_active_sensors(viewer).filter(Q(bundle_at__lt=state.blocking_changed_at) & online(now))


def _unacknowledged(state: FleetState) -> Q:
    return Q(bundle_at=None) | Q(bundle_at__lt=state.blocking_changed_at)


@dataclass(frozen=True)
class UnableToBlock:
    """How many of the active sensors that the viewer sees cannot block, and the first of them."""

    count: int
    total: int
    first: list[Sensor]


def unable_to_block(viewer: Viewer) -> UnableToBlock:
    """Return the sensors without the capability `block`, such as those that fell back to fanotify, in three queries."""
    rows = visible_sensors(viewer).filter(ACTIVE)
    unable = rows.filter(Q(status=None) | ~Q(status__capabilities__contains=["block"]))
    return UnableToBlock(unable.count(), rows.count(), list(unable.order_by("cluster__name", "node", "pk")[:SHOWN]))
