"""The tree of clouds, environments, clusters and sensors.

An estate may have thousands of each: closed branches are only counted, open ones are read up to a limit, and the number
of queries is the same for any estate.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    IntegerField,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    TextChoices,
    Value,
    When,
    Window,
)
from django.db.models.functions import Coalesce, RowNumber
from django.utils import timezone

from accounts.models import Viewer
from drift.fleet.domain.sensor_health import UNPROVEN_AFTER
from drift.fleet.models import Cluster, Environment, Provider, Sensor, SensorState
from drift.fleet.queries.sensors import offline, visible_sensors

NOUNS: Final = {
    Provider.AZURE: ("subscription", "subscriptions"),
    Provider.AWS: ("account", "accounts"),
    Provider.GCP: ("project", "projects"),
}
"""Each cloud's word for an environment, singular and plural."""
SHOWN: Final = 100
"""Environments of a cloud shown at first, and added by each *Show more*."""
MAX_SHOWN: Final = 1_000
"""Environments of a cloud on one page; beyond it users have to search."""
OPEN_AT_FIRST: Final = 20
"""An estate with at most this many environments starts with all of them open."""
CLUSTERS: Final = 100
"""Clusters shown in an open environment."""
SENSORS: Final = 50
"""Sensors shown in an open cluster; its own page has all."""


class Trouble(TextChoices):
    """Troubles to filter environments by."""

    OFFLINE = "offline", "Offline sensors"
    LAGGING = "lagging", "Lagging sensors"
    OFF = "off", "Switched off"
    EMPTY = "empty", "Without sensors"


@dataclass(frozen=True)
class TreeFilters:
    """Shows environments whose name, account or cluster names contain `query`, of one cloud, with one trouble.

    `opened` and `clusters` are the ids of open environments and clusters; `opened` None: all, if they are few.
    """

    query: str = ""
    cloud: Provider | None = None
    trouble: Trouble | None = None
    retired: bool = False
    shown: int = SHOWN
    opened: Collection[int] | None = None
    clusters: Collection[int] = ()

    @property
    def narrows(self) -> bool:
        return bool(self.query or self.cloud or self.trouble)

    @property
    def shows_more(self) -> bool:
        return self.shown > SHOWN


@dataclass(frozen=True)
class Coverage:
    """Counts of live sensors, and the range of the versions that they applied."""

    sensors: int = 0
    offline: int = 0
    lagging: int = 0
    proven: int = 0
    lowest: int | None = None
    highest: int | None = None
    last_seen: dt.datetime | None = None

    @property
    def applied(self) -> str:
        """The applied versions: `v3`, or `v2–v3` during a rollout."""
        if self.lowest is None:
            return ""
        return f"v{self.lowest}" if self.lowest == self.highest else f"v{self.lowest}–v{self.highest}"


@dataclass
class ClusterLine:
    """A cluster, with its first sensors if it is open."""

    cluster: Cluster
    coverage: Coverage
    is_open: bool
    sensors: list[Sensor] = field(default_factory=list)

    @property
    def has_more(self) -> bool:
        return self.is_open and self.coverage.sensors > len(self.sensors)


@dataclass
class EnvironmentLine:
    """An environment and the number of its clusters, with the first of them if it is open."""

    environment: Environment
    coverage: Coverage
    count: int
    is_open: bool
    clusters: list[ClusterLine] = field(default_factory=list)

    @property
    def has_more(self) -> bool:
        return self.is_open and self.count > len(self.clusters)


@dataclass
class CloudGroup:
    """One cloud: the number of its environments that match, and the first of them."""

    provider: Provider
    total: int
    environments: list[EnvironmentLine] = field(default_factory=list)

    @property
    def nouns(self) -> str:
        return NOUNS[self.provider][1]

    @property
    def count(self) -> str:
        return f"{self.total:,} {NOUNS[self.provider][self.total != 1]}"

    @property
    def next_shown(self) -> int | None:
        """How many environments *Show more* shows; None where all, or MAX_SHOWN, are shown."""
        shown = len(self.environments)
        return min(shown + SHOWN, MAX_SHOWN) if shown < min(self.total, MAX_SHOWN) else None


def estate_tree(viewer: Viewer, filters: TreeFilters) -> list[CloudGroup]:
    """Return the clouds in the order of Provider, in at most eight queries."""
    wanted = _environments(viewer, filters)
    totals = dict(wanted.order_by().values_list("provider").annotate(Count("pk")))
    rows = list(_first(wanted, filters.shown, "provider", "name", "account"))
    lines = _environment_lines(viewer, filters, rows, sum(totals.values()))
    _open_clusters(viewer, filters, {line.environment.pk: line for line in lines if line.is_open})
    return [
        CloudGroup(cloud, totals.get(cloud, 0), [line for line in lines if line.environment.provider == cloud])
        for cloud in Provider
    ]


def tree_summary(groups: Iterable[CloudGroup]) -> str:
    """Return the counts in one string: "2 subscriptions, 1 account"."""
    return ", ".join(group.count for group in groups if group.total) or "no environments"


def _environment_lines(
    viewer: Viewer, filters: TreeFilters, rows: list[Environment], total: int
) -> list[EnvironmentLine]:
    ids = [row.pk for row in rows]
    opened = filters.opened if filters.opened is not None else ids if total <= OPEN_AT_FIRST else ()
    coverage = _coverage(viewer, "cluster__environment_id", ids)
    clusters = _clusters(viewer, filters).filter(environment__in=ids).values_list("environment_id")
    counts = dict(clusters.annotate(Count("pk")))
    return [
        EnvironmentLine(row, coverage.get(row.pk, Coverage()), counts.get(row.pk, 0), row.pk in opened) for row in rows
    ]


def _open_clusters(viewer: Viewer, filters: TreeFilters, lines: dict[int, EnvironmentLine]) -> None:
    """Add the clusters of open environments, and the sensors of open clusters."""
    matching = Case(When(name__icontains=filters.query, then=0), default=Value(1), output_field=IntegerField())
    wanted = _clusters(viewer, filters).filter(environment__in=lines).annotate(rank=matching)
    rows = list(_first(wanted, CLUSTERS, "environment_id", "rank", "name"))
    coverage = _coverage(viewer, "cluster_id", [row.pk for row in rows])
    found = _sensors(viewer, filters, [row.pk for row in rows if row.pk in filters.clusters])
    for row in rows:
        line = ClusterLine(row, coverage.get(row.pk, Coverage()), row.pk in filters.clusters, found.get(row.pk, []))
        lines[row.environment_id].clusters.append(line)


def _environments(viewer: Viewer, filters: TreeFilters) -> QuerySet[Any]:
    rows = Environment.objects.visible_to(viewer).filter(retired_at__isnull=not filters.retired)
    if filters.cloud:
        rows = rows.filter(provider=filters.cloud)
    if filters.query:
        clusters = Cluster.objects.visible_to(viewer)
        named = clusters.filter(environment=OuterRef("pk"), name__icontains=filters.query)
        rows = rows.filter(Q(name__icontains=filters.query) | Q(account__icontains=filters.query) | Exists(named))
    inside = _live(viewer).filter(cluster__environment=OuterRef("pk"))
    if filters.trouble in _TROUBLES:
        return rows.filter(Exists(inside.filter(_trouble_filter(filters.trouble))))
    if filters.trouble == Trouble.EMPTY:
        clusters = Cluster.objects.visible_to(viewer).filter(environment=OuterRef("pk"))
        return rows.filter(~Exists(inside) | Exists(_uncovered(viewer, clusters)))
    return rows.filter(sensor_enabled=False) if filters.trouble == Trouble.OFF else rows


def _clusters(viewer: Viewer, filters: TreeFilters) -> QuerySet[Any]:
    """Return the clusters that match the filters; all if the filters are not about clusters."""
    rows = Cluster.objects.visible_to(viewer)
    if filters.trouble in _TROUBLES:
        return rows.filter(Exists(_live(viewer).filter(_trouble_filter(filters.trouble), cluster=OuterRef("pk"))))
    return _uncovered(viewer, rows) if filters.trouble == Trouble.EMPTY else rows


def _sensors(viewer: Viewer, filters: TreeFilters, clusters: list[int]) -> dict[int, list[Sensor]]:
    rows = visible_sensors(viewer).filter(state=SensorState.LIVE, cluster__in=clusters)
    if filters.trouble in _TROUBLES:
        rows = rows.filter(_trouble_filter(filters.trouble))
    found: dict[int, list[Sensor]] = {}
    for row in _first(rows, SENSORS, "cluster_id", "node"):
        found.setdefault(row.cluster_id, []).append(row)
    return found


def _coverage(viewer: Viewer, key: str, ids: list[int]) -> dict[int, Coverage]:
    """Coverage by the id in `key`, of an environment or a cluster; ids without a live sensor are missing."""
    proven = Q(proof__seen_at__gte=timezone.now() - UNPROVEN_AFTER)
    rows = (
        Sensor.objects.visible_to(viewer)
        .filter(state=SensorState.LIVE, **{f"{key}__in": ids})
        .values(key)
        .annotate(
            sensors=Count("pk"),
            offline=Count("pk", filter=_trouble_filter(Trouble.OFFLINE)),
            lagging=Count("pk", filter=_trouble_filter(Trouble.LAGGING)),
            proven=Count("pk", filter=proven),
            lowest=Min("applied_number"),
            highest=Max("applied_number"),
            last_seen=Max("status__last_seen_at"),
        )
    )
    return {row.pop(key): Coverage(**row) for row in rows}


_TROUBLES: Final = frozenset({Trouble.OFFLINE, Trouble.LAGGING})


def _trouble_filter(trouble: Trouble | None) -> Q:
    """Return the filter of sensors with this trouble: offline, or lagging."""
    if trouble == Trouble.OFFLINE:
        return offline(timezone.now())
    return Q(desired_version__gt=Coalesce(F("applied_number"), 0))


def _live(viewer: Viewer) -> QuerySet[Any]:
    return Sensor.objects.visible_to(viewer).filter(state=SensorState.LIVE)


def _uncovered(viewer: Viewer, clusters: QuerySet[Any]) -> QuerySet[Any]:
    return clusters.filter(~Exists(_live(viewer).filter(cluster=OuterRef("pk"))))


def _first(rows: QuerySet[Any], limit: int, group: str, *order: str) -> QuerySet[Any]:
    """The first rows of each group, in that order: a window function, since LIMIT would count all groups together."""
    position = Window(RowNumber(), partition_by=F(group), order_by=[*order, "pk"])
    first: QuerySet[Any] = rows.annotate(position=position).filter(position__lte=limit).order_by(*order, "pk")
    return first
