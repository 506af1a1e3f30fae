"""The keys that events are stored under: their workload's and binary's ids, and their fingerprint.

Nearly every event is of a workload and a binary that this process met a moment ago, so keys are cached.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import msgspec

from drift.alerts.actions import intern_rows
from drift.alerts.domain.daily_cache import DailyCache
from drift.alerts.domain.enriched_events import BatchSource
from drift.alerts.domain.fingerprint_counters import FingerprintCounter, fingerprint_counter
from drift.alerts.domain.fingerprints import binary_facts, fingerprint, provenance_facts, workload_facts
from sensor import wire


class EventKeys(NamedTuple):
    """The ids of an event's interned rows, and the counter of its fingerprint.

    `provenance_id` is 0 where the sensor does not know it.
    """

    workload_id: int
    binary_id: int
    provenance_id: int
    counter: FingerprintCounter


_cache: Final[DailyCache[bytes, EventKeys]] = DailyCache()
_quarantined: Final[DailyCache[bytes, EventKeys]] = DailyCache()
"""Keys of events from sensors in quarantine, apart: these record no sighting, which would end reviewers' snoozes."""
_encode: Final = msgspec.json.Encoder().encode


def event_keys(source: BatchSource, events: list[wire.Event]) -> list[EventKeys]:
    """Return the keys of each event. Workloads and binaries that are new today are stored first."""
    cached = (_quarantined if source.quarantined else _cache).today()
    cache_keys = [_cache_key(source.cluster_id, event) for event in events]
    missing = {key: event for key, event in zip(cache_keys, events, strict=True) if key not in cached}
    if missing:
        cached.update(zip(missing, _stored_keys(source, list(missing.values())), strict=True))
    return [cached[key] for key in cache_keys]


def _cache_key(cluster_id: int, event: wire.Event) -> bytes:
    """Return a digest of all facts that an event's keys depend on, labels in the order in which they were sent.

    Sorting labels for every event costs more than the second cache entry of a workload whose labels come in two orders.
    """
    container, process = event.container, event.process
    labels = tuple(container.pod_labels.items())
    owner = ("", container.pod_name or "")
    if container.owner is not None:
        # The pod's name changes nothing then, and there are many pods to a workload.
        owner = (container.owner.kind, container.owner.name)
    workload = (container.namespace, owner, container.name, container.image_name, container.image_digest, labels)
    origin = process.file_origin
    image = (origin.image_name, origin.image_digest) if origin is not None else None
    facts = (cluster_id, workload, process.path, process.name, process.sha256, event.kind, image, process.provenance)
    # A digest rather than the facts: the cache is bounded by its number of entries, not by what senders put in them.
    return hashlib.blake2b(_encode(facts), digest_size=16).digest()


def _stored_keys(source: BatchSource, events: list[wire.Event]) -> list[EventKeys]:
    workloads = [workload_facts(source.cluster_id, event.container) for event in events]
    binaries = [binary_facts(event) for event in events]
    provenances = [provenance_facts(event) for event in events]
    workload_ids, binary_ids = intern_rows.workload_ids(workloads), intern_rows.binary_ids(binaries)
    provenance_ids = intern_rows.provenance_ids(each for each in provenances if each is not None)
    keys = []
    for workload, binary, provenance in zip(workloads, binaries, provenances, strict=True):
        provenance_id = provenance_ids[provenance] if provenance is not None else 0
        counter = fingerprint_counter(fingerprint(workload.scope, binary.path, binary.sha256))
        keys.append(EventKeys(workload_ids[workload], binary_ids[binary], provenance_id, counter))
    if not source.quarantined:
        intern_rows.record_sightings({(each.workload_id, each.binary_id) for each in keys})
    return keys


def clear_caches() -> None:
    """Forget all ids: where a cached one turned out to be deleted, and between tests."""
    _cache.clear()
    _quarantined.clear()
    intern_rows.clear_caches()
