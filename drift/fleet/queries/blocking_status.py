"""Who has obeyed the switch that stops or resumes all blocking, and who cannot block at all."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from django.db.models import Q, QuerySet

from accounts.models import Viewer
from drift.fleet.actions.signing_keys import active
from drift.fleet.models import FleetState, Sensor
from drift.fleet.queries.sensors import visible_sensors

SHOWN: Final = 5
"""Sensors that are named where some cannot block."""


@dataclass(frozen=True)
class Acknowledgement:
    """How many active sensors obey a bundle made since the switch was last turned."""

    obeyed: int
    total: int

    @property
    def line(self) -> str:
        """`obeyed by 5 of 6 sensors`."""
        return f"obeyed by {self.obeyed} of {self.total} {'sensor' if self.total == 1 else 'sensors'}"


def acknowledgement(state: FleetState) -> Acknowledgement:
    """Two counts, whatever the fleet's size."""
    total = active().count()
    return Acknowledgement(total - active().filter(_not_since(state)).count(), total)


def unacknowledged_sensors(viewer: Viewer, state: FleetState, after: uuid.UUID | None = None) -> QuerySet[Sensor]:
    """Those that have not obeyed it, or are too old to say, by cluster and node; `after`: those behind this sensor.

    While one reads, some obey and leave the list: counted from the first, a page would skip others.
    """
    rows = visible_sensors(viewer).filter(_not_since(state), pk__in=active().values("pk"))
    last = Sensor.objects.visible_to(viewer).filter(pk=after).values_list("cluster__name", "node").first()
    if last is not None:
        cluster, node = last
        same = Q(cluster__name=cluster) & (Q(node__gt=node) | Q(node=node, pk__gt=after))
        rows = rows.filter(Q(cluster__name__gt=cluster) | same)
    return rows.order_by("cluster__name", "node", "pk")


def _not_since(state: FleetState) -> Q:
    return Q(bundle_at=None) | Q(bundle_at__lt=state.blocking_changed_at)


@dataclass(frozen=True)
class UnableToBlock:
    """How many active sensors cannot block, of all that the viewer sees, and the first of them."""

    unable: int
    total: int
    first: list[Sensor]


def unable_to_block(viewer: Viewer) -> UnableToBlock:
    """Sensors without the capability `block`, such as those that fell back to fanotify; three queries."""
    rows = visible_sensors(viewer).filter(pk__in=active().values("pk"))
    unable = rows.filter(Q(status=None) | ~Q(status__capabilities__contains=["block"]))
    return UnableToBlock(unable.count(), rows.count(), list(unable.order_by("cluster__name", "node", "pk")[:SHOWN]))
