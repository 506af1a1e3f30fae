"""Which events are alike: the facts of workloads and binaries, their digests, and fingerprints.

Every process and every release must compute the same values: they are stored, and compared with stored ones.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from sensor import wire
from sensor.names.owners import stable_container_name, workload_owner

ENCODER: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))
"""Of facts whose digest is taken: one for all, since `json.dumps` makes one each time."""
_FAST: Final = msgspec.json.Encoder()
"""Encodes printable ASCII without quotes and backslashes as ENCODER does, in a fifth of the time."""
_DIFFERS: Final = re.compile(rb"[\\\x7f]")
"""What the two may escape in different ways: a backslash begins an escape of either."""
Labels = tuple[tuple[str, str], ...]
Scope = tuple[int, str, str, str, str]
"""Cluster, namespace, owner kind, owner name and container: what a workload keeps from one release to the next.

The container is "" where its name was generated (docs/alerts.md#owner)."""


class WorkloadFacts(NamedTuple):
    """The columns that identify a workload (models.Workload); an empty string means unknown. Labels are sorted."""

    cluster_id: int
    namespace: str
    owner_kind: str
    owner_name: str
    container_name: str
    image_name: str
    image_digest: str
    labels: Labels

    @property
    def scope(self) -> Scope:
        return (*self[:4], stable_container_name(self.owner_kind, self.container_name))


class BinaryFacts(NamedTuple):
    """The columns that identify a binary (models.Binary). `sha256` is empty where the file could not be hashed.

    The image is that of the container or volume that the file is from, empty for all files but those.
    """

    path: str
    name: str
    sha256: str
    kind: str
    image_name: str = ""
    image_digest: str = ""

    @property
    def identity(self) -> tuple[str, ...]:
        """The facts that its digest is made of: without an image those that were there before images."""
        return tuple(self) if self.image_name or self.image_digest else tuple(self[:4])


class ProvenanceFacts(NamedTuple):
    """The columns of a provenance (models.Provenance); an empty string means unknown."""

    session: str
    written_by: str
    written_by_name: str
    writer_origin: str
    written_by_parent: str
    written_in_session: str = ""

    @property
    def identity(self) -> tuple[str, ...]:
        """The facts that its digest is made of: without the writer's session those that were there before it."""
        return tuple(self) if self.written_in_session else tuple(self[:5])


def workload_facts(cluster_id: int, container: wire.Container) -> WorkloadFacts:
    """Return the facts of the workload that a container belongs to."""
    owner = workload_owner(container)
    return WorkloadFacts(
        cluster_id,
        container.namespace or "",
        owner.kind,
        owner.name,
        container.name or "",
        container.image_name or "",
        container.image_digest or "",
        tuple(sorted(container.pod_labels.items())),
    )


def binary_facts(event: wire.Event) -> BinaryFacts:
    """Return the facts of the file that was executed."""
    process = event.process
    facts = BinaryFacts(process.path, process.name, process.sha256 or "", event.kind)
    origin = process.file_origin
    if origin is None:
        return facts
    return facts._replace(image_name=origin.image_name or "", image_digest=origin.image_digest or "")


def provenance_facts(event: wire.Event) -> ProvenanceFacts | None:
    """Return who wrote the file and how the process came into its container; None where the sensor does not know it."""
    found = event.process.provenance
    if found is None:
        return None
    return ProvenanceFacts(
        found.session or "",
        found.written_by or "",
        found.written_by_name or "",
        found.writer_origin or "",
        found.written_by_parent or "",
        found.written_in_session or "",
    )


def digest(*facts: object) -> uuid.UUID:
    """Return 128 bits of SHA-256 over the facts, as a UUID: equal facts have equal digests."""
    return uuid.UUID(bytes=hashlib.sha256(_encoded(facts)).digest()[:16])


def _encoded(facts: tuple[object, ...]) -> bytes:
    """Return the facts as ENCODER writes them, some ten times for each alert that opens."""
    try:
        fast = _FAST.encode(facts)
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON escapes
        return ENCODER.encode(facts).encode()
    return fast if fast.isascii() and not _DIFFERS.search(fast) else ENCODER.encode(facts).encode()


def fingerprint(scope: Scope, path: str, sha256: str) -> uuid.UUID:
    """Return the fingerprint of a file in a workload (docs/alerts.md#one-alert)."""
    return digest("drift", scope, path, sha256)


@lru_cache(maxsize=4_096)
def node_fingerprint(cluster_id: int, node: str) -> uuid.UUID:
    """Return the one fingerprint of all containers on a node that could not be identified."""
    return digest("identity_incomplete", cluster_id, node)
