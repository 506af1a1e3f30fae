"""Where and when workloads ran: by release of their image, by owner, and by kindred pods that come and go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from functools import cached_property
from typing import Final, NamedTuple, TypeVar

from drift.alerts.domain.program_names import name_set
from drift.backtest.domain.noise_evidence import NoiseEstate
from drift.backtest.domain.noise_spreads import MIN_CONTAINERS, Spread
from drift.backtest.domain.noise_writers import FileWriter

_Key = TypeVar("_Key", bound=Hashable)
LASTING_KINDS: Final = name_set(
    "Deployment StatefulSet DaemonSet ReplicaSet ReplicationController CronJob DeploymentConfig Rollout CloneSet"
)
"""Owners that outlive their pods. Any other may stand for one pod alone."""


class _Groups(NamedTuple):
    """What a workload is counted by: its image's release, its owner, pods like its own, and what it is one of."""

    release: str
    owner: int
    kindred: tuple[int, str, str, str]
    place: Hashable


class WorkloadSpreads:
    """Where and when each workload ran, and what it is one of."""

    def __init__(self, estate: NoiseEstate, writers: Mapping[int, FileWriter]) -> None:
        """Add up all rows but those of persons.

        What ran while events were lost counts for its release alone, beside which others look late.
        """
        self._estate = estate
        self._all: defaultdict[int, Spread] = defaultdict(Spread)
        self._lossless: defaultdict[int, Spread] = defaultdict(Spread)
        self._groups: dict[int, _Groups] = {}
        persons = {pk for pk, writer in writers.items() if writer.is_person}
        for row in estate.paced(estate.rows):
            if row.provenance not in persons:
                self._all[row.workload].add(row, 0)
                if not row.lossy:
                    self._lossless[row.workload].add(row, 0)

    def is_one_off(self, pk: int) -> bool:
        """Return whether a workload may be a pod that ran once, whose owner is none that outlives it."""
        if self._estate.workloads[pk].owner_kind in LASTING_KINDS:
            return False
        return self.owner(pk).container_count < MIN_CONTAINERS

    def kind(self, pk: int) -> Hashable:
        """Return what workloads share that a budget need not tell apart: pods that come and go, in one container."""
        each = self._estate.workloads[pk]
        if each.owner_kind in LASTING_KINDS:
            return pk
        return (
            *(each.cluster_id, each.namespace, each.owner_kind, each.container_name),
            *(each.image_name, each.image_digest, self.is_one_off(pk)),
        )

    def place(self, pk: int) -> Hashable:
        """Return what a workload is counted as: pods that each are a workload of their own are one together."""
        return self._of(pk).place

    def release(self, pk: int) -> Spread:
        """Return where the release of the workload's image ran."""
        return self._releases[self._of(pk).release]

    def owner(self, pk: int) -> Spread:
        """Return where the workload's owner ran."""
        return self._owners[self._of(pk).owner]

    def kindred(self, pk: int) -> Spread:
        """Return where pods of the workload's image ran in its namespace that have an owner of the same kind."""
        return self._kindred[self._of(pk).kindred]

    def _of(self, pk: int) -> _Groups:
        known = self._groups.get(pk)
        if known is None:
            each, image = self._estate.workloads[pk], self._estate.image(pk)
            owner, kindred = each.scope.int, (each.cluster_id, each.namespace, each.owner_kind, image)
            place = owner if each.owner_kind in LASTING_KINDS else kindred
            known = self._groups[pk] = _Groups(each.image_digest or each.image_name, owner, kindred, place)
        return known

    @cached_property
    def _releases(self) -> defaultdict[str, Spread]:
        return _joined((self._of(pk).release, spread) for pk, spread in self._all.items())

    @cached_property
    def _owners(self) -> defaultdict[int, Spread]:
        return _joined((self._of(pk).owner, spread) for pk, spread in self._lossless.items())

    @cached_property
    def _kindred(self) -> defaultdict[tuple[int, str, str, str], Spread]:
        return _joined((self._of(pk).kindred, spread) for pk, spread in self._lossless.items())


def _joined(spreads: Iterable[tuple[_Key, Spread]]) -> defaultdict[_Key, Spread]:
    found: defaultdict[_Key, Spread] = defaultdict(Spread)
    for key, spread in spreads:
        found[key].join(spread)
    return found
