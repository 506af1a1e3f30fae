"""Verify the audit log against its hash chain, and against heads that were kept elsewhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from accounts.audit_chain import GENESIS, Head, chain_digest, record_digest
from accounts.models import AuditEntry, AuditSeal

BATCH: Final = 2_000
MAX_PROBLEMS: Final = 20
"""Problems listed; one removed row must not print a million lines."""
KEPT_AT_LEAST: Final = dt.timedelta(days=90)
"""Retention never deletes entries that were sealed more recently; the database refuses it too."""
LATE: Final = dt.timedelta(hours=1)
EXPIRED_VERB, LOG_TYPE = "expired", "audit log"


@dataclass
class AuditVerification:
    """What was found. `problems` are in order of position, at most MAX_PROBLEMS of `problem_count`."""

    entries: int = 0
    """Sealed entries whose content matches their seal."""
    expired: int = 0
    """Seals whose entries retention deleted."""
    unsealed: int = 0
    oldest_unsealed: dt.datetime | None = None
    sealed_late: int = 0
    """Entries that were sealed more than an hour after the time that they bear."""
    head: Head = field(default_factory=lambda: Head(0, GENESIS))
    problem_count: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def is_intact(self) -> bool:
        return self.problem_count == 0

    def report(self, problem: str) -> None:
        """Add a problem."""
        self.problem_count += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)


def current_head() -> Head:
    """Return the present end of the chain; position 0 before the first seal."""
    last = AuditSeal.objects.order_by("-position").only("position", "digest").first()
    return Head(last.position, bytes(last.digest)) if last else Head(0, GENESIS)


def verify_audit_log(heads: Iterable[Head] = ()) -> AuditVerification:
    """Recompute every digest, in one snapshot, in bounded memory. Returns what was found."""
    result = AuditVerification()
    expected: dict[int, list[Head]] = {}
    for head in heads:
        if head != result.head:  # that of an empty log
            expected.setdefault(head.position, []).append(head)
    with transaction.atomic():
        _take_snapshot()
        covered = expired_through()
        for seals in _batches():
            _verify_batch(seals, covered, expected, result)
        _count_unsealed(result)
    for position, missing in sorted(expected.items()):
        for head in missing:
            result.report(f"position {position}: missing; a head that was kept names {head.digest.hex()}")
    return result


def _take_snapshot() -> None:
    """Let all statements see the same rows, while the sealer goes on; a nested transaction sees its own."""
    if connection.savepoint_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")


def expired_through() -> int:
    """Return the last position whose entry retention says that it deleted."""
    done = AuditEntry.objects.filter(verb=EXPIRED_VERB, object_type=LOG_TYPE, actor=None).exclude(seal=None)
    return max((int(text) for text in done.values_list("object_id", flat=True) if text.isdecimal()), default=0)


def _batches() -> Iterator[Sequence[AuditSeal]]:
    position = 0
    while seals := list(AuditSeal.objects.filter(position__gt=position).order_by("position")[:BATCH]):
        yield seals
        position = seals[-1].position


def _verify_batch(
    seals: Sequence[AuditSeal], covered: int, expected: dict[int, list[Head]], result: AuditVerification
) -> None:
    entries = AuditEntry.objects.in_bulk([seal.entry_id for seal in seals])
    oldest_kept = timezone.now() - KEPT_AT_LEAST
    for seal in seals:
        where = f"position {seal.position} (entry {seal.entry_id})"
        if seal.position != result.head.position + 1:
            result.report(f"position {result.head.position + 1}: missing; the next one is {seal.position}")
            # The digest before the gap is lost: that of this position is taken as given, so that others are compared.
            result.head = Head(seal.position - 1, b"")
        record, digest = bytes(seal.record), bytes(seal.digest)
        if result.head.digest and chain_digest(seal.position, result.head.digest, seal.sealed_at, record) != digest:
            result.report(f"{where}: the seal was changed, or one before it")
        result.head = Head(seal.position, digest)
        for head in expected.pop(seal.position, ()):
            if head.digest != digest:
                result.report(f"{where}: differs from a head that was kept: {head.digest.hex()}")
        entry = entries.get(seal.entry_id)
        if entry is not None:
            _verify_entry(entry, seal, where, result)
        elif seal.position <= covered and seal.sealed_at < oldest_kept:
            result.expired += 1
        else:
            result.report(f"{where}: the entry was removed")


def _verify_entry(entry: AuditEntry, seal: AuditSeal, where: str, result: AuditVerification) -> None:
    try:
        matches = record_digest(entry, seal.salts, seal.erased) == bytes(seal.record)
    except (ValueError, TypeError, AttributeError) as error:
        result.report(f"{where}: the entry was changed: {error}")
        return
    if not matches:
        result.report(f"{where}: the entry was changed")
        return
    result.entries += 1
    result.sealed_late += seal.sealed_at - entry.at > LATE


def _count_unsealed(result: AuditVerification) -> None:
    unsealed = AuditEntry.objects.filter(seal=None)
    result.unsealed = unsealed.count()
    oldest = unsealed.order_by("pk").first()
    result.oldest_unsealed = oldest.at if oldest else None
