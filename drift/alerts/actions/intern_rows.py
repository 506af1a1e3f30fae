"""Storing workloads, binaries and their pairs once, and remembering their ids.

Each process keeps what it met today; the first event of a day touches the row (`last_seen_on`), so
that retention sees what is still in use and a remembered id is never that of a row that retention
removed. Interned rows are written in transactions of their own: an id that is remembered is committed.
"""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from collections.abc import Callable, Hashable, Iterable
from typing import Final, Generic, TypedDict, TypeVar

from django.db import connection, transaction
from django.utils import timezone

from drift.alerts.actions.end_snoozes import end_snoozes
from drift.alerts.domain.fingerprints import BinaryFacts, WorkloadFacts, digest
from drift.alerts.models import Binary, Workload

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Facts = TypeVar("Facts", bound=tuple[object, ...])
Pair = tuple[int, int]
REMEMBERED: Final = 65_536
"""Entries of each memory, whose keys are digests: some 30 MB at most in a process."""


class Touch(TypedDict):
    """How bulk_create inserts a row or touches the one that is there."""

    update_conflicts: bool
    unique_fields: list[str]
    update_fields: list[str]


TOUCH: Final[Touch] = {"update_conflicts": True, "unique_fields": ["digest"], "update_fields": ["last_seen_on"]}
"""The rows come in the order of their digests, so that two processes never wait for each other in a ring."""


class Memory(Generic[Key, Value]):
    """What was met today. Full, or on a new day, it starts again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._day: dt.date | None = None
        self._known: dict[Key, Value] = {}

    def today(self) -> dict[Key, Value]:
        """What is known; add to it what turned out to be missing."""
        day = timezone.now().date()
        with self._lock:
            if self._day != day or len(self._known) > REMEMBERED:
                self._day, self._known = day, {}
            return self._known

    def forget(self) -> None:
        with self._lock:
            self._day, self._known = None, {}


def _remembered(
    memory: Memory[uuid.UUID, int],
    store: Callable[[dict[uuid.UUID, Facts], dt.date], dict[uuid.UUID, int]],
    keys: Iterable[Facts],
) -> dict[Facts, int]:
    """The id of each key; those that are new today are stored first, by their digests."""
    known = memory.today()
    short = {key: digest(*key) for key in keys}  # what is remembered must not grow with what senders say
    missing = {short[key]: key for key in short if short[key] not in known}
    if missing:
        known.update(store(missing, timezone.now().date()))
    return {key: known[short[key]] for key in short}


def _store_workloads(facts: dict[uuid.UUID, WorkloadFacts], today: dt.date) -> dict[uuid.UUID, int]:
    rows = [
        Workload(
            digest=short,
            scope=digest(*each.scope),
            cluster_id=each.cluster_id,
            namespace=each.namespace,
            owner_kind=each.owner_kind,
            owner_name=each.owner_name,
            container_name=each.container_name,
            image_name=each.image_name,
            image_digest=each.image_digest,
            pod_labels=dict(each.labels),
            first_seen_on=today,
            last_seen_on=today,
        )
        for short, each in sorted(facts.items())
    ]
    return {row.digest: row.pk for row in Workload.objects.bulk_create(rows, **TOUCH)}


def _store_binaries(facts: dict[uuid.UUID, BinaryFacts], today: dt.date) -> dict[uuid.UUID, int]:
    rows = [
        Binary(digest=short, **each._asdict(), first_seen_on=today, last_seen_on=today)
        for short, each in sorted(facts.items())
    ]
    return {row.digest: row.pk for row in Binary.objects.bulk_create(rows, **TOUCH)}


SIGHT = """
INSERT INTO alerts_sighting (workload_id, binary_id, first_seen_on, last_seen_on)
SELECT workload_id, binary_id, %(today)s, %(today)s
FROM unnest(%(workloads)s::bigint[], %(binaries)s::bigint[]) AS pair (workload_id, binary_id)
ORDER BY workload_id, binary_id
ON CONFLICT (workload_id, binary_id) DO UPDATE SET last_seen_on = excluded.last_seen_on
RETURNING id, workload_id, binary_id, xmax = 0
"""


@transaction.atomic
def _store_sightings(pairs: dict[uuid.UUID, Pair], today: dt.date) -> dict[uuid.UUID, int]:
    """The pairs' ids. A pair that was never seen before may end the quiet of an alert elsewhere."""
    workloads, binaries = zip(*pairs.values(), strict=True)
    with connection.cursor() as cursor:
        cursor.execute(SIGHT, {"today": today, "workloads": list(workloads), "binaries": list(binaries)})
        rows = cursor.fetchall()
    new = [(workload, binary) for _, workload, binary, inserted in rows if inserted]
    if new:
        end_snoozes(new)
    ids = {(workload, binary): pk for pk, workload, binary, _ in rows}
    return {short: ids[pair] for short, pair in pairs.items()}


_workloads: Final[Memory[uuid.UUID, int]] = Memory()
_binaries: Final[Memory[uuid.UUID, int]] = Memory()
_sightings: Final[Memory[uuid.UUID, int]] = Memory()


def workload_ids(facts: Iterable[WorkloadFacts]) -> dict[WorkloadFacts, int]:
    """The ids of workloads."""
    return _remembered(_workloads, _store_workloads, facts)


def binary_ids(facts: Iterable[BinaryFacts]) -> dict[BinaryFacts, int]:
    """The ids of binaries."""
    return _remembered(_binaries, _store_binaries, facts)


def sight(pairs: Iterable[Pair]) -> None:
    """Remember for good that these binaries ran in these workloads."""
    _remembered(_sightings, _store_sightings, pairs)


def forget() -> None:
    """Empty every memory."""
    for memory in (_workloads, _binaries, _sightings):
        memory.forget()
