"""Where an event belongs, remembered: most events are of a workload and binary that were met a moment ago."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import msgspec

from drift.alerts.actions import intern_rows as intern
from drift.alerts.actions.intern_rows import Memory
from drift.alerts.domain.enriched_events import BatchSource
from drift.alerts.domain.fingerprints import FingerprintCounter, binary_facts, series, workload_facts
from sensor import wire


class EventKeys(NamedTuple):
    """The interned rows of an event, and what it counts to."""

    workload_id: int
    binary_id: int
    series: FingerprintCounter


_known: Final[Memory[bytes, EventKeys]] = Memory()
_encode: Final = msgspec.json.Encoder().encode


def places(source: BatchSource, events: list[wire.Event]) -> list[EventKeys]:
    """The place of each event; what is new today is stored first."""
    known = _known.today()
    keys = [_key(source.cluster_id, event) for event in events]
    missing = {key: event for key, event in zip(keys, events, strict=True) if key not in known}
    if missing:
        known.update(zip(missing, _find(source.cluster_id, list(missing.values())), strict=True))
    return [known[key] for key in keys]


def _key(cluster_id: int, event: wire.Event) -> bytes:
    """All that a place depends on, as the event has it, unsorted, in 16 bytes: a memory is bounded by its entries."""
    container, process = event.container, event.process
    labels = tuple(container.pod_labels.items())
    if container.owner is not None:
        maker = (container.owner.kind, container.owner.name)
    else:
        maker = ("", container.pod_name or "")
    about = (container.namespace, maker, container.name, container.image_name, container.image_digest, labels)
    facts = (cluster_id, about, process.path, process.name, process.sha256, event.kind)
    return hashlib.blake2b(_encode(facts), digest_size=16).digest()


def _find(cluster_id: int, events: list[wire.Event]) -> list[EventKeys]:
    workloads = [workload_facts(cluster_id, event.container) for event in events]
    binaries = [binary_facts(event) for event in events]
    workload_ids, binary_ids = intern.workload_ids(workloads), intern.binary_ids(binaries)
    found = [
        EventKeys(workload_ids[workload], binary_ids[binary], series(workload.scope, binary.path, binary.sha256))
        for workload, binary in zip(workloads, binaries, strict=True)
    ]
    intern.sight({(place.workload_id, place.binary_id) for place in found})
    return found


def forget() -> None:
    """Empty every memory: for tests that empty the database, and where a remembered id turned out to be gone."""
    _known.forget()
    intern.forget()
