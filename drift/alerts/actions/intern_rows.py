"""Store workloads, binaries and their pairs once, and cache their ids.

The first event of a day updates the row (`last_seen_on`), so retention knows what is in use, and a cached id is never
that of a row that retention deleted. Rows are written in transactions of their own, so every cached id is committed.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from django.db import transaction
from django.utils import timezone

from accounts.prepared_rows import prepared_rows
from drift.alerts.actions.bulk_insert import new_row, upsert_rows
from drift.alerts.actions.end_snoozes import end_snoozes
from drift.alerts.actions.score_alerts import QUEUE_SPREAD
from drift.alerts.domain.daily_cache import DailyCache
from drift.alerts.domain.fingerprints import BinaryFacts, ProvenanceFacts, WorkloadFacts, digest
from drift.alerts.models import Binary, Provenance, Workload

Facts = TypeVar("Facts", bound=tuple[object, ...])
Pair = tuple[int, int]
"""The ids of a workload and a binary."""
UPSERT_SIGHTINGS: Final = f"""
WITH stored AS (
    INSERT INTO alerts_sighting (workload_id, binary_id, first_seen_on, last_seen_on)
    SELECT workload_id, binary_id, day, day FROM unnest(%s::bigint[], %s::bigint[]) AS pair (workload_id, binary_id)
    CROSS JOIN (SELECT %s::date AS day) AS today
    ORDER BY workload_id, binary_id
    ON CONFLICT (workload_id, binary_id) DO UPDATE SET last_seen_on = excluded.last_seen_on
    RETURNING id, workload_id, binary_id, xmax = 0 AS is_new
), queued AS ({QUEUE_SPREAD})
SELECT id, workload_id, binary_id, is_new,
       EXISTS (SELECT FROM alerts_alert WHERE status = 'dismissed' AND until_spread) AS is_awaited
FROM stored
"""  # noqa: S608 - made of constants
"""xmax is 0 in a row that was inserted; ON CONFLICT DO UPDATE locks the row it finds, which sets xmax. What is new is
queued to be scored again in the same statement, and only where a snooze waits for news are there others."""

_workload_ids: Final[DailyCache[uuid.UUID, int]] = DailyCache()
_binary_ids: Final[DailyCache[uuid.UUID, int]] = DailyCache()
_provenance_ids: Final[DailyCache[uuid.UUID, int]] = DailyCache()
_sighting_ids: Final[DailyCache[uuid.UUID, int]] = DailyCache()


def workload_ids(facts: Iterable[WorkloadFacts]) -> dict[WorkloadFacts, int]:
    """Return the workloads' ids, storing those that are new."""
    return _cached_ids(_workload_ids, _store_workloads, facts)


def binary_ids(facts: Iterable[BinaryFacts]) -> dict[BinaryFacts, int]:
    """Return the binaries' ids, storing those that are new."""
    return _cached_ids(_binary_ids, _store_binaries, facts, lambda each: each.identity)


def provenance_ids(facts: Iterable[ProvenanceFacts]) -> dict[ProvenanceFacts, int]:
    """Return the provenances' ids, storing those that are new."""
    return _cached_ids(_provenance_ids, _store_provenances, facts, lambda each: each.identity)


def record_sightings(pairs: Iterable[Pair]) -> None:
    """Record that these binaries ran in these workloads, and end the snoozes that waited for that."""
    _cached_ids(_sighting_ids, _store_sightings, pairs)


def clear_caches() -> None:
    """Forget all cached ids."""
    for cache in (_workload_ids, _binary_ids, _provenance_ids, _sighting_ids):
        cache.clear()


def _cached_ids(
    cache: DailyCache[uuid.UUID, int],
    store: Callable[[dict[uuid.UUID, Facts], dt.date], dict[uuid.UUID, int]],
    rows: Iterable[Facts],
    identity: Callable[[Facts], tuple[object, ...]] = tuple,
) -> dict[Facts, int]:
    """Return each row's id; rows that are not cached today are stored first, by their digests."""
    cached = cache.today()
    # Digests, so that an entry's size does not depend on the sender.
    digests = {row: digest(*identity(row)) for row in rows}
    missing = {short: row for row, short in digests.items() if short not in cached}
    if missing:
        cached.update(store(missing, timezone.now().date()))
    return {row: cached[short] for row, short in digests.items()}


def _store_workloads(facts: dict[uuid.UUID, WorkloadFacts], today: dt.date) -> dict[uuid.UUID, int]:
    rows = [
        new_row(
            Workload,
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
        for short, each in sorted(facts.items())  # in one order, so that two processes never deadlock on these rows
    ]
    return upsert_rows(rows, "digest", "last_seen_on")


def _store_binaries(facts: dict[uuid.UUID, BinaryFacts], today: dt.date) -> dict[uuid.UUID, int]:
    rows = [
        new_row(Binary, digest=short, **each._asdict(), first_seen_on=today, last_seen_on=today)
        for short, each in sorted(facts.items())  # in one order, as above
    ]
    return upsert_rows(rows, "digest", "last_seen_on")


def _store_provenances(facts: dict[uuid.UUID, ProvenanceFacts], today: dt.date) -> dict[uuid.UUID, int]:
    rows = [
        new_row(Provenance, digest=short, **each._asdict(), first_seen_on=today, last_seen_on=today)
        for short, each in sorted(facts.items())  # in one order, as above
    ]
    return upsert_rows(rows, "digest", "last_seen_on")


@transaction.atomic
def _store_sightings(pairs: dict[uuid.UUID, Pair], today: dt.date) -> dict[uuid.UUID, int]:
    workloads, binaries = zip(*pairs.values(), strict=True)
    rows = prepared_rows(UPSERT_SIGHTINGS, [list(workloads), list(binaries), today])
    # In this transaction: were the pair committed and the process killed before the snoozes ended, no later event
    # would find it new, and they would last for ever.
    if new := [(workload, binary) for _, workload, binary, is_new, is_awaited in rows if is_new and is_awaited]:
        end_snoozes(new)
    ids = {(workload, binary): pk for pk, workload, binary, *_ in rows}
    return {short: ids[pair] for short, pair in pairs.items()}
