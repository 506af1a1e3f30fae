"""The tree of environments and clusters."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Count, Max, Min, Q
from django.utils import timezone

from accounts.models import Viewer
from drift.fleet.actions.proofs import EVERY
from drift.fleet.models import Cluster, Environment, Provider, SensorState

NOUNS = {
    Provider.AZURE: ("subscription", "subscriptions"),
    Provider.AWS: ("account", "accounts"),
    Provider.GCP: ("project", "projects"),
}
"""What each cloud calls an environment."""
OFFLINE_AFTER = dt.timedelta(minutes=3)
"""Three heartbeats missed (one a minute)."""
UNPROVEN_AFTER = 2 * EVERY + dt.timedelta(minutes=10)
"""Two canaries missed, and the time one may take."""


@dataclass(frozen=True)
class ClusterLine:
    """A cluster and what its live sensors say. The numbers span the versions that they apply."""

    cluster: Cluster
    sensors: int
    offline: int
    proven: int
    lowest: int | None
    highest: int | None
    last_seen: dt.datetime | None

    @property
    def applied(self) -> str:
        return span(self.lowest, self.highest)


@dataclass
class EnvironmentLine:
    """An environment and its clusters."""

    environment: Environment
    clusters: list[ClusterLine] = field(default_factory=list)

    @property
    def sensors(self) -> int:
        return sum(line.sensors for line in self.clusters)

    @property
    def offline(self) -> int:
        return sum(line.offline for line in self.clusters)

    @property
    def proven(self) -> int:
        return sum(line.proven for line in self.clusters)

    @property
    def last_seen(self) -> dt.datetime | None:
        return max((line.last_seen for line in self.clusters if line.last_seen), default=None)

    @property
    def applied(self) -> str:
        numbers = [n for line in self.clusters for n in (line.lowest, line.highest) if n is not None]
        return span(min(numbers, default=None), max(numbers, default=None))


@dataclass
class ProviderGroup:
    """One cloud and its environments."""

    provider: Provider
    environments: list[EnvironmentLine] = field(default_factory=list)

    @property
    def count(self) -> str:
        return counted(len(self.environments), NOUNS[self.provider])


def estate(viewer: Viewer, *, query: str = "", retired: bool = False) -> list[ProviderGroup]:
    """All three clouds, in the order that users know; `query` keeps environments that match by name,
    account or a cluster's name."""
    groups = {provider: ProviderGroup(provider) for provider in Provider}
    lines = {
        row.pk: EnvironmentLine(row)
        for row in Environment.objects.visible_to(viewer)
        .filter(retired_at__isnull=not retired)
        .order_by("name", "account")
    }
    for line in _clusters(viewer):
        if line.cluster.environment_id in lines:
            lines[line.cluster.environment_id].clusters.append(line)
    for environment in lines.values():
        if _matches(environment, query.strip().casefold()):
            groups[Provider(environment.environment.provider)].environments.append(environment)
    return list(groups.values())


def summary(groups: Iterable[ProviderGroup]) -> str:
    """How many of each are shown: "2 subscriptions, 1 account"."""
    return ", ".join(group.count for group in groups if group.environments) or "no environments"


def counted(number: int, nouns: tuple[str, str]) -> str:
    return f"{number} {nouns[0] if number == 1 else nouns[1]}"


def span(lowest: int | None, highest: int | None) -> str:
    """Version numbers as users read them: `v3`, or `v2–v3` while a rollout is on its way."""
    if lowest is None or highest is None:
        return ""
    return f"v{lowest}" if lowest == highest else f"v{lowest}–v{highest}"


def _clusters(viewer: Viewer) -> list[ClusterLine]:
    live = Q(sensors__state=SensorState.LIVE)
    unseen = Q(sensors__status__last_seen_at__lt=timezone.now() - OFFLINE_AFTER)
    rows = (
        Cluster.objects.visible_to(viewer)
        .annotate(
            live=Count("sensors", filter=live),
            offline=Count("sensors", filter=live & unseen),
            proven=Count("sensors", filter=live & Q(sensors__proof__seen_at__gte=timezone.now() - UNPROVEN_AFTER)),
            lowest=Min("sensors__applied_number", filter=live),
            highest=Max("sensors__applied_number", filter=live),
            last_seen=Max("sensors__status__last_seen_at", filter=live),
        )
        .order_by("name")
    )
    return [ClusterLine(row, row.live, row.offline, row.proven, row.lowest, row.highest, row.last_seen) for row in rows]


def _matches(line: EnvironmentLine, query: str) -> bool:
    names = [line.environment.name, line.environment.account, *(cluster.cluster.name for cluster in line.clusters)]
    return any(query in name.casefold() for name in names)
