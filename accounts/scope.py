"""What a viewer sees of the estate, as conditions on rows (docs/scopes.md)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.db.models import Q


@dataclass(frozen=True)
class Part:
    """The union of scope entries, by ids. Clusters are those of the environments too, as they are now."""

    environments: frozenset[int] = frozenset()
    """Environments that are wholly in it."""
    clusters: frozenset[int] = frozenset()
    """Clusters that are wholly in it."""
    namespaces: frozenset[str] = frozenset()
    """Namespaces that are in it wherever they are."""
    namespaces_of: tuple[tuple[int, frozenset[str]], ...] = ()
    """Namespaces of single clusters, by cluster, in order of the clusters."""
    namespaces_of_environments: tuple[tuple[int, frozenset[str]], ...] = ()
    """Namespaces of environments, whose present clusters are in `namespaces_of` too."""
    holding: frozenset[int] = frozenset()
    """Environments that it is in, if only with a namespace of one cluster."""

    @property
    def is_empty(self) -> bool:
        return not (self.holding or self.namespaces)

    @property
    def is_of_whole_clusters(self) -> bool:
        return not (self.namespaces or self.namespaces_of)

    @property
    def places(self) -> frozenset[int]:
        """Clusters that hold something of it; a namespace that is in it anywhere names none."""
        return self.clusters | {each for each, _ in self.namespaces_of}

    def holds(self, cluster: int, namespace: str) -> bool:
        """Return whether a row of this cluster and namespace is in it."""
        namespaces = self.namespaces_in(cluster)
        return namespaces is None or namespace in namespaces

    def namespaces_in(self, cluster: int) -> frozenset[str] | None:
        """Return the namespaces of a cluster that are in it; None: all."""
        if cluster in self.clusters:
            return None
        return self.namespaces | dict(self.namespaces_of).get(cluster, frozenset())

    def touches(self, other: Part) -> bool:
        """Return whether both name a common place: a namespace anywhere names no cluster."""
        for cluster in self.places & other.places:
            one, two = self.namespaces_in(cluster), other.namespaces_in(cluster)
            if one is None or two is None or one & two:
                return True
        return bool(self.namespaces & other.all_namespaces or other.namespaces & self.all_namespaces)

    @property
    def all_namespaces(self) -> frozenset[str]:
        return self.namespaces.union(*(names for _, names in self.namespaces_of))

    def condition(self, cluster: str, namespace: str | None) -> Q | None:
        """Return which rows are in it, by the paths of their cluster and namespace; None: not any.

        Rows without a namespace of their own (`namespace` is None) are in it with their whole cluster only.
        """
        parts = [Q(**{f"{cluster}__in": sorted(self.clusters)})] if self.clusters else []
        if namespace:
            if self.namespaces:
                parts.append(Q(**{f"{namespace}__in": sorted(self.namespaces)}))
            parts += [
                Q(**{f"{cluster}__in": clusters, f"{namespace}__in": names})
                for names, clusters in self._clusters_by_namespaces()
            ]
        return _union(parts)

    def _clusters_by_namespaces(self) -> list[tuple[list[str], list[int]]]:
        """Return `namespaces_of` with the clusters together that have the same namespaces: a shorter condition."""
        together: dict[frozenset[str], list[int]] = {}
        for cluster, names in self.namespaces_of:
            together.setdefault(names, []).append(cluster)
        return [(sorted(names), clusters) for names, clusters in together.items()]

    def place_condition(self, environment: str | None, cluster: str | None) -> Q | None:
        """Return which environments or clusters hold something of it, by the path of their id; None: not any.

        A namespace that is in it anywhere names no place.
        """
        if environment:
            return Q(**{f"{environment}__in": sorted(self.holding)}) if self.holding else None
        return Q(**{f"{cluster}__in": sorted(self.places)}) if self.places else None


@dataclass(frozen=True)
class EstateScope:
    """What a viewer sees: what is in every one of `parts` (their own, and their token's). Without parts: everything."""

    parts: tuple[Part, ...] = ()

    @property
    def is_whole_estate(self) -> bool:
        return not self.parts

    @property
    def is_of_whole_clusters(self) -> bool:
        """Whether no single namespace is in scope: then a count by cluster is exact."""
        return all(part.is_of_whole_clusters for part in self.parts)

    def holds(self, cluster: int, namespace: str) -> bool:
        """Return whether a row of this cluster and namespace is in scope."""
        return all(part.holds(cluster, namespace) for part in self.parts)

    def namespaces_in(self, cluster: int) -> frozenset[str] | None:
        """Return the namespaces of a cluster that are in scope; None: all."""
        seen: frozenset[str] | None = None
        for part in self.parts:
            of_part = part.namespaces_in(cluster)
            seen = of_part if seen is None else seen if of_part is None else seen & of_part
        return seen

    def touches(self, other: EstateScope) -> bool:
        """Return whether both name a common place."""
        return all(one.touches(two) for one in self.parts for two in other.parts)

    def condition(self, cluster: str, namespace: str | None) -> Q | None:
        """Return which rows are in scope, by the paths of their cluster and namespace; None: not any."""
        return _intersection([part.condition(cluster, namespace) for part in self.parts])

    def place_condition(self, *, environment: str | None = None, cluster: str | None = None) -> Q | None:
        """Return which environments or clusters hold something in scope, by the path of their id; None: not any."""
        return _intersection([part.place_condition(environment, cluster) for part in self.parts])

    def environment_condition(self, environment: str) -> Q | None:
        """Return which rows belong to an environment that is wholly in scope; None: not any."""
        return _intersection(
            [
                Q(**{f"{environment}__in": sorted(part.environments)}) if part.environments else None
                for part in self.parts
            ]
        )


def _union(parts: Iterable[Q]) -> Q | None:
    condition: Q | None = None
    for part in parts:
        condition = part if condition is None else condition | part
    return condition


def _intersection(parts: Iterable[Q | None]) -> Q | None:
    condition = Q()
    for part in parts:
        if part is None:
            return None
        condition &= part
    return condition


WHOLE_ESTATE: Final = EstateScope()
