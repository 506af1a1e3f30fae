"""The tree of clouds, environments, clusters and sensors.

An estate may have thousands of each: what is closed is only counted, what is open is read up to a limit,
and the number of queries is the same for any estate.
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
from drift.fleet.models import Cluster, Environment, Provider, Sensor, SensorState
from drift.fleet.queries.environments import OFFLINE_AFTER, UNPROVEN_AFTER
from drift.fleet.queries.sensors import visible_sensors

NOUNS: Final = {
    Provider.AZURE: ("subscription", "subscriptions"),
    Provider.AWS: ("account", "accounts"),
    Provider.GCP: ("project", "projects"),
}
"""What each cloud calls an environment."""
SHOWN: Final = 100
"""Environments of a cloud at first, and how many more each time; SHOWN_MOST in all, then one has to search."""
MAX_SHOWN: Final = 1_000
FEW: Final = 20
"""So many environments start open."""
CLUSTERS: Final = 100
"""Of an open environment."""
SENSORS: Final = 50
"""Of an open cluster; its own page has all."""


class Trouble(TextChoices):
    """Environments with something to look at."""

    OFFLINE = "offline", "Offline sensors"
    LAGGING = "lagging", "Lagging sensors"
    OFF = "off", "Switched off"
    EMPTY = "empty", "Without sensors"


@dataclass(frozen=True)
class TreeFilters:
    """What to show: environments that match in name, account or a cluster's name, of one cloud, with one trouble.

    `opened` and `clusters` are ids of open environments and clusters; None: whatever is few is open.
    """

    query: str = ""
    cloud: Provider | None = None
    only: Trouble | None = None
    retired: bool = False
    shown: int = SHOWN
    opened: Collection[int] | None = None
    clusters: Collection[int] = ()

    @property
    def narrows(self) -> bool:
        return bool(self.query or self.cloud or self.only)

    @property
    def shows_more(self) -> bool:
        return self.shown > SHOWN


@dataclass(frozen=True)
class Coverage:
    """What live sensors say, counted. The numbers span the versions that they apply."""

    sensors: int = 0
    offline: int = 0
    lagging: int = 0
    proven: int = 0
    lowest: int | None = None
    highest: int | None = None
    last_seen: dt.datetime | None = None

    @property
    def applied(self) -> str:
        """Versions as users read them: `v3`, or `v2–v3` while a rollout is on its way."""
        if self.lowest is None:
            return ""
        return f"v{self.lowest}" if self.lowest == self.highest else f"v{self.lowest}–v{self.highest}"


@dataclass
class ClusterLine:
    """A cluster; its first sensors where it is open."""

    cluster: Cluster
    coverage: Coverage
    is_open: bool
    sensors: list[Sensor] = field(default_factory=list)

    @property
    def has_more(self) -> bool:
        return self.is_open and self.coverage.sensors > len(self.sensors)


@dataclass
class EnvironmentLine:
    """An environment, how many clusters it has, and the first of them where it is open."""

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
    """One cloud: how many of its environments match, and the first of them."""

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
        """How many to show next; None where all are shown, or as many as one page takes."""
        shown = len(self.environments)
        return min(shown + SHOWN, MAX_SHOWN) if shown < min(self.total, MAX_SHOWN) else None


def estate_tree(viewer: Viewer, asked: TreeFilters) -> list[CloudGroup]:
    """All three clouds, in the order that users know; at most eight queries."""
    wanted = _environments(viewer, asked)
    totals = dict(wanted.order_by().values_list("provider").annotate(Count("pk")))
    rows = list(_first(wanted, asked.shown, "provider", "name", "account"))
    lines = _environment_lines(viewer, asked, rows, sum(totals.values()))
    _open_clusters(viewer, asked, {line.environment.pk: line for line in lines if line.is_open})
    return [
        CloudGroup(cloud, totals.get(cloud, 0), [line for line in lines if line.environment.provider == cloud])
        for cloud in Provider
    ]


def tree_summary(groups: Iterable[CloudGroup]) -> str:
    """How many of each there are: "2 subscriptions, 1 account"."""
    return ", ".join(group.count for group in groups if group.total) or "no environments"


def _environment_lines(
    viewer: Viewer, asked: TreeFilters, rows: list[Environment], total: int
) -> list[EnvironmentLine]:
    ids = [row.pk for row in rows]
    opened = asked.opened if asked.opened is not None else ids if total <= FEW else ()
    coverage = _coverage(viewer, "cluster__environment_id", ids)
    clusters = _clusters(viewer, asked).filter(environment__in=ids).values_list("environment_id")
    counts = dict(clusters.annotate(Count("pk")))
    return [
        EnvironmentLine(row, coverage.get(row.pk, Coverage()), counts.get(row.pk, 0), row.pk in opened) for row in rows
    ]


def _open_clusters(viewer: Viewer, asked: TreeFilters, lines: dict[int, EnvironmentLine]) -> None:
    """Fill in the clusters of open environments, and the sensors of open clusters."""
    matching = Case(When(name__icontains=asked.query, then=0), default=Value(1), output_field=IntegerField())
    wanted = _clusters(viewer, asked).filter(environment__in=lines).annotate(rank=matching)
    rows = list(_first(wanted, CLUSTERS, "environment_id", "rank", "name"))
    coverage = _coverage(viewer, "cluster_id", [row.pk for row in rows])
    found = _sensors(viewer, asked, [row.pk for row in rows if row.pk in asked.clusters])
    for row in rows:
        line = ClusterLine(row, coverage.get(row.pk, Coverage()), row.pk in asked.clusters, found.get(row.pk, []))
        lines[row.environment_id].clusters.append(line)


def _environments(viewer: Viewer, asked: TreeFilters) -> QuerySet[Any]:
    rows = Environment.objects.visible_to(viewer).filter(retired_at__isnull=not asked.retired)
    if asked.cloud:
        rows = rows.filter(provider=asked.cloud)
    if asked.query:
        named = Cluster.objects.filter(environment=OuterRef("pk"), name__icontains=asked.query)
        rows = rows.filter(Q(name__icontains=asked.query) | Q(account__icontains=asked.query) | Exists(named))
    inside = _live().filter(cluster__environment=OuterRef("pk"))
    if asked.only in _TROUBLES:
        return rows.filter(Exists(inside.filter(_trouble(asked.only))))
    if asked.only == Trouble.EMPTY:
        return rows.filter(~Exists(inside) | Exists(_uncovered(Cluster.objects.filter(environment=OuterRef("pk")))))
    return rows.filter(sensor_enabled=False) if asked.only == Trouble.OFF else rows


def _clusters(viewer: Viewer, asked: TreeFilters) -> QuerySet[Any]:
    """Clusters that have what is asked for; all where nothing of theirs is."""
    rows = Cluster.objects.visible_to(viewer)
    if asked.only in _TROUBLES:
        return rows.filter(Exists(_live().filter(_trouble(asked.only), cluster=OuterRef("pk"))))
    return _uncovered(rows) if asked.only == Trouble.EMPTY else rows


def _sensors(viewer: Viewer, asked: TreeFilters, clusters: list[int]) -> dict[int, list[Sensor]]:
    rows = visible_sensors(viewer).filter(state=SensorState.LIVE, cluster__in=clusters)
    if asked.only in _TROUBLES:
        rows = rows.filter(_trouble(asked.only))
    found: dict[int, list[Sensor]] = {}
    for row in _first(rows, SENSORS, "cluster_id", "node"):
        found.setdefault(row.cluster_id, []).append(row)
    return found


def _coverage(viewer: Viewer, key: str, ids: list[int]) -> dict[int, Coverage]:
    """By environment or cluster, whichever `key` names; those without a live sensor are missing."""
    proven = Q(proof__seen_at__gte=timezone.now() - UNPROVEN_AFTER)
    rows = (
        Sensor.objects.visible_to(viewer)
        .filter(state=SensorState.LIVE, **{f"{key}__in": ids})
        .values(key)
        .annotate(
            sensors=Count("pk"),
            offline=Count("pk", filter=_trouble(Trouble.OFFLINE)),
            lagging=Count("pk", filter=_trouble(Trouble.LAGGING)),
            proven=Count("pk", filter=proven),
            lowest=Min("applied_number"),
            highest=Max("applied_number"),
            last_seen=Max("status__last_seen_at"),
        )
    )
    return {row.pop(key): Coverage(**row) for row in rows}


_TROUBLES: Final = frozenset({Trouble.OFFLINE, Trouble.LAGGING})


def _trouble(only: Trouble | None) -> Q:
    """What such sensors have in common."""
    if only == Trouble.OFFLINE:
        return Q(status=None) | Q(status__last_seen_at__lt=timezone.now() - OFFLINE_AFTER)
    return Q(desired_version__gt=Coalesce(F("applied_number"), 0))


def _live() -> QuerySet[Sensor]:
    return Sensor.objects.filter(state=SensorState.LIVE)


def _uncovered(clusters: QuerySet[Any]) -> QuerySet[Any]:
    return clusters.filter(~Exists(_live().filter(cluster=OuterRef("pk"))))


def _first(rows: QuerySet[Any], most: int, by: str, *order: str) -> QuerySet[Any]:
    """The first rows in each part `by`, in that order."""
    place = Window(RowNumber(), partition_by=F(by), order_by=[*order, "pk"])
    first: QuerySet[Any] = rows.annotate(place=place).filter(place__lte=most).order_by(*order, "pk")
    return first
