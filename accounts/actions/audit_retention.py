"""Expire audit entries and the addresses in them, so that the chain stays verifiable (docs/audit.md#retention)."""

from __future__ import annotations

import datetime as dt
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Min
from django.utils import timezone

from accounts import audit
from accounts.actions.audit_seals import seal_entries
from accounts.models import AuditEntry, AuditSeal
from accounts.queries.audit_verification import EXPIRED_VERB, LOG_TYPE, is_expiry_recorded

CHUNK: Final = 2_000
"""Entries changed in one transaction."""


def expire_audit_log() -> tuple[int, int]:
    """Delete entries and blank addresses past their retention, by functions of the owner's.

    Returns how many (entries, addresses). May run twice, and any number at once.
    """
    entries = _expire_entries() if settings.AUDIT_RETENTION_DAYS else 0
    addresses = 0
    if settings.AUDIT_ADDRESS_RETENTION_DAYS:
        before = timezone.now() - dt.timedelta(days=settings.AUDIT_ADDRESS_RETENTION_DAYS)
        while count := _run("accounts_expire_audit_addresses", before):
            addresses += count
    return entries, addresses


def _expire_entries() -> int:
    before = timezone.now() - dt.timedelta(days=settings.AUDIT_RETENTION_DAYS)
    total = 0
    through = _last_expiring(before)
    if not AuditEntry.objects.filter(seal__position__lte=through).exists():
        return 0
    # Recorded and sealed before anything goes: otherwise verifying would find entries that were removed.
    if not is_expiry_recorded(through, before):
        audit.record(None, EXPIRED_VERB, LOG_TYPE, through, after={"sealed_before": before.isoformat()})
        seal_entries()
    if not is_expiry_recorded(through, before):
        return 0  # another process is sealing: the next run goes on
    while count := _run("accounts_expire_audit_entries", before):
        total += count
    return total


def _last_expiring(before: dt.datetime) -> int:
    """Return the last position of the chain's prefix that was sealed before: as the owner's function finds it."""
    kept = AuditSeal.objects.filter(sealed_at__gte=before).aggregate(first=Min("position"))["first"]
    if kept is not None:
        return int(kept) - 1
    return AuditSeal.objects.aggregate(last=Max("position"))["last"] or 0


def _run(function: str, before: dt.datetime) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s, %s)", [before, CHUNK])
        return int(cursor.fetchone()[0])
