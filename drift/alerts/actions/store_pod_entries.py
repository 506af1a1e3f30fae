"""Store who asked to run something in a pod; delete what is past its retention; erase a person."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Q
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift.alerts.domain.kubernetes_audit import STAGES, EntryRequest, merged_stages
from drift.alerts.errors import AuditLinesFull, IngestUnavailable
from drift.alerts.models import PodEntry
from drift.fleet.models import Cluster

MAX_AHEAD: Final = dt.timedelta(minutes=10)
"""How far an API server's clock may be ahead of the portal's."""
MAX_A_DAY: Final = 100_000
"""New requests of one cluster within 24 hours: some 100 MiB. A stolen token cannot fill the database."""
CHUNK: Final = 1_000


@dataclass(frozen=True)
class StoredEntries:
    """How many requests are new, were known already, and cannot be believed: at another time, or contradictory."""

    stored: int = 0
    known: int = 0
    refused: int = 0


def store_pod_entries(cluster: Cluster, requests: Sequence[EntryRequest], source: str) -> StoredEntries:
    """Store the requests of a cluster that are not stored yet, and what later stages add to the others.

    A line whose audit id is known with other facts is refused: whoever can send lines cannot rewrite one. Raises
    AuditLinesFull where the cluster has had its share of the day, IngestUnavailable where the database is down.
    """
    now = timezone.now()
    oldest, newest = now - dt.timedelta(days=settings.KUBERNETES_AUDIT_RETENTION_DAYS), now + MAX_AHEAD
    timely = [each for each in requests if oldest <= each.requested_at <= newest]
    merged, contradictions = merged_stages(timely)
    try:
        with transaction.atomic():
            known = _known(cluster, merged)
            new = [each for each in merged if each.audit_id not in known]
            _check_share(cluster, len(new), now)
            PodEntry.objects.bulk_create(
                [_row(cluster, each, source, now) for each in new], batch_size=CHUNK, ignore_conflicts=True
            )
            # Another batch may have stored some of them meanwhile; the insert then left its rows as they are.
            known |= _known(cluster, new)
            stored = sum(known[each.audit_id].received_at == now for each in new)
            contradictions += sum(not _add_stage(known[each.audit_id], each) for each in merged)
    except DatabaseError as error:
        raise IngestUnavailable from error
    outside = len(requests) - len(timely)
    return StoredEntries(stored, len(requests) - stored - contradictions - outside, contradictions + outside)


def _known(cluster: Cluster, requests: Sequence[EntryRequest]) -> dict[str, PodEntry]:
    ids = [each.audit_id for each in requests]
    found: dict[str, PodEntry] = {}
    for start in range(0, len(ids), CHUNK):
        rows = PodEntry.objects.filter(cluster=cluster, audit_id__in=ids[start : start + CHUNK])
        found |= {row.audit_id: row for row in rows.select_for_update().order_by("audit_id")}
    return found


def _check_share(cluster: Cluster, count: int, now: dt.datetime) -> None:
    since = now - dt.timedelta(days=1)
    if count and PodEntry.objects.filter(cluster=cluster, received_at__gt=since).count() + count > MAX_A_DAY:
        raise AuditLinesFull


def _add_stage(row: PodEntry, request: EntryRequest) -> bool:
    """Add what a later stage of the same request says; returns whether it is the same request."""
    if row.erased_at is not None:
        return True
    if bytes(row.digest) != request.digest:
        return False
    if STAGES.index(request.stage) > STAGES.index(row.stage):
        row.stage, row.ended_at = request.stage, request.ended_at
        row.code = request.code if request.code is not None else row.code
        row.save(update_fields=["stage", "ended_at", "code"])
    return True


def _row(cluster: Cluster, request: EntryRequest, source: str, now: dt.datetime) -> PodEntry:
    return PodEntry(
        cluster=cluster,
        audit_id=request.audit_id,
        digest=request.digest,
        kind=request.kind,
        namespace=request.namespace,
        pod=request.pod,
        container=request.container,
        ephemeral_containers=list(request.ephemeral_containers),
        command=list(request.command),
        is_command_cut=request.is_command_cut,
        username=request.user,
        groups=list(request.groups),
        acting_as=request.acting_as,
        address=request.address,
        claimed_addresses=list(request.claimed_addresses),
        agent=request.agent,
        requested_at=request.requested_at,
        ended_at=request.ended_at,
        stage=request.stage,
        code=request.code,
        source=source[:64],
        received_at=now,
    )


def delete_expired_entries() -> int:
    """Delete the requests that are past KUBERNETES_AUDIT_RETENTION_DAYS, a chunk per transaction."""
    before = timezone.now() - dt.timedelta(days=settings.KUBERNETES_AUDIT_RETENTION_DAYS)
    total = 0
    expired = PodEntry.objects.filter(requested_at__lt=before).order_by("requested_at").values_list("pk", flat=True)
    while ids := list(expired[:CHUNK]):
        total += PodEntry.objects.filter(pk__in=ids).delete()[0]
    return total


def record_import(cluster: Cluster, stored: StoredEntries) -> None:
    """Record in the audit log that a file of audit lines was imported."""
    audit.record(
        None, "imported", "Kubernetes audit lines", cluster.pk, name=cluster.name, after={"new": stored.stored}
    )


def erase_kubernetes_user(actor: User, username: str) -> int:
    """Erase a user of Kubernetes from all requests, made or acted as. Returns of how many.

    That the request was made stays, without whoever made it. The audit log's entry does not name them either.
    """
    with transaction.atomic():
        count = PodEntry.objects.filter(Q(username=username) | Q(acting_as=username), erased_at=None).update(
            username="", groups=[], acting_as="", address="", claimed_addresses=[], agent="", digest=b"",
            erased_at=timezone.now(),
        )  # fmt: skip
        audit.record(actor, "erased", "Kubernetes user", "", after={"requests": count})
    return count
