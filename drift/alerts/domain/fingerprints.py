"""Which events are of one kind: owners, digests and fingerprints. Pure functions, the same for every process."""

from __future__ import annotations

import hashlib
import json
import uuid
from functools import lru_cache
from typing import NamedTuple

from sensor import wire
from sensor.names.owners import OwnerName, fingerprint_owner

Labels = tuple[tuple[str, str], ...]


class WorkloadFacts(NamedTuple):
    """What makes a workload (models.Workload); "" is "not known". Labels are sorted."""

    cluster_id: int
    namespace: str
    owner_kind: str
    owner_name: str
    container_name: str
    image_name: str
    image_digest: str
    labels: Labels

    @property
    def scope(self) -> tuple[int, str, str, str, str]:
        """What stays the same from one release of the workload to the next."""
        return self[:5]


class BinaryFacts(NamedTuple):
    """What makes a binary (models.Binary); no sha256: it could not be had."""

    path: str
    name: str
    sha256: str
    kind: str


def workload_facts(cluster_id: int, container: wire.Container) -> WorkloadFacts:
    """The facts of the workload that a container belongs to."""
    kind, name = container_owner(container)
    return WorkloadFacts(
        cluster_id,
        container.namespace or "",
        kind,
        name,
        container.name or "",
        container.image_name or "",
        container.image_digest or "",
        tuple(sorted(container.pod_labels.items())),
    )


def binary_facts(event: wire.Event) -> BinaryFacts:
    """The facts of the file that ran."""
    process = event.process
    return BinaryFacts(process.path, process.name, process.sha256 or "", event.kind)


def container_owner(container: wire.Container) -> OwnerName:
    """Return the owner that the sensor reported, else the one that the pod's labels suggest."""
    if container.owner is not None:
        return OwnerName(container.owner.kind, container.owner.name)
    return fingerprint_owner(container.pod_name or "", container.pod_labels)


def digest(*facts: object) -> uuid.UUID:
    """128 bits of SHA-256 over the facts: equal facts, equal digest, in every process and release."""
    text = json.dumps(facts, ensure_ascii=True, separators=(",", ":"))
    return uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16])


class FingerprintCounter:
    """All events of one fingerprint in this clock hour: as this process has met them, and as others have told of."""

    __slots__ = ("_hour", "_seen", "_untold", "fingerprint", "packed")

    def __init__(self, fingerprint: uuid.UUID) -> None:
        self.fingerprint = fingerprint
        self.packed = fingerprint.bytes
        self._hour = self._seen = self._untold = 0

    def seen(self, hour: int) -> int:
        """How many were stored in that hour, as far as this process knows."""
        return self._seen if hour == self._hour else 0

    def admits(self, hour: int, place: int, limit: int) -> bool:
        """Whether the event at this place (from 1) of those to come is among the first `limit` of the clock hour."""
        return self.seen(hour) + place <= limit

    def count(self, hour: int, stored: int) -> None:
        """So many more were stored.

        Two threads may both count the last one: the limit is for the disk's sake, one more does no harm.
        """
        if hour != self._hour:
            self._hour, self._seen, self._untold = hour, 0, 0
        self._seen += stored
        self._untold += stored

    def take_untold(self) -> int:
        """How many this process has not told the others of; from now on it has."""
        untold, self._untold = self._untold, 0
        return untold

    def learn(self, hour: int, total: int) -> None:
        """All processes together have stored so many, but for what is untold here."""
        if hour == self._hour:
            self._seen = total + self._untold


def series(scope: tuple[int, str, str, str, str], path: str, sha256: str) -> FingerprintCounter:
    """What one alert gathers (DESIGN §4): cluster, namespace, owner, container, path, content (path alone without)."""
    return _series(digest("drift", scope, path, sha256))


@lru_cache(maxsize=65_536)
def _series(fingerprint: uuid.UUID) -> FingerprintCounter:
    return FingerprintCounter(fingerprint)


@lru_cache(maxsize=4_096)
def node_series(cluster_id: int, node: str) -> FingerprintCounter:
    """Containers on a node that could not be identified (DESIGN §2: identity_incomplete)."""
    return FingerprintCounter(digest("identity_incomplete", cluster_id, node))
