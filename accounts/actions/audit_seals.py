"""Seal audit entries into the hash chain: one process at a time, in order, whoever writes entries meanwhile."""

from __future__ import annotations

from typing import Final

from django.db import connection, transaction
from django.db.models import Max

from accounts.audit_chain import GENESIS, chain_digest, new_salts, record_digest
from accounts.models import AuditEntry, AuditSeal

CHUNK: Final = 1_000
"""Entries sealed in one transaction."""
LOCK: Final = "seal the audit log"
RECENT: Final = 10_000
"""Ids below the newest sealed one among which entries of slower transactions are looked for on every run."""


def seal_entries(*, everywhere: bool = False) -> int:
    """Seal all entries that are committed and not sealed yet; return how many. Does nothing beside another sealer.

    `everywhere` also finds entries far below the newest, which only a transaction of hours leaves behind.
    """
    total = 0
    while count := _seal_chunk(everywhere=everywhere):
        total += count
    return total


def _seal_chunk(*, everywhere: bool) -> int:
    with transaction.atomic():
        # Held to the end of the transaction, and released by PostgreSQL when a killed sealer's connection closes.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0)), statement_timestamp()", [LOCK])
            is_sealer, now = cursor.fetchone()
        if not is_sealer:
            return 0
        entries = _unsealed(everywhere=everywhere)
        last = AuditSeal.objects.order_by("-position").only("position", "digest").first()
        position, digest = (last.position, bytes(last.digest)) if last else (0, GENESIS)
        seals = []
        for entry in entries:
            position += 1
            salts = new_salts(entry)
            record = record_digest(entry, salts, {})
            digest = chain_digest(position, digest, now, record)
            seals.append(
                AuditSeal(
                    position=position, entry_id=entry.pk, record=record, digest=digest, sealed_at=now, salts=salts
                )
            )
        AuditSeal.objects.bulk_create(seals)
        return len(seals)


def _unsealed(*, everywhere: bool) -> list[AuditEntry]:
    """Return the entries to seal next, by id: that is the order in which they were written, though not committed."""
    entries = AuditEntry.objects.filter(seal=None).order_by("pk")
    if not everywhere:
        newest = AuditSeal.objects.aggregate(newest=Max("entry_id"))["newest"] or 0
        entries = entries.filter(pk__gt=newest - RECENT)
    return list(entries[:CHUNK])
