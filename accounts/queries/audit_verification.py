"""Verify the audit log against its hash chain, and against heads that were kept elsewhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.db import connection, transaction

from accounts.audit_chain import GENESIS, Head, chain_digest, record_digest
from accounts.models import AuditEntry, AuditSeal

BATCH: Final = 2_000
MAX_PROBLEMS: Final = 20
"""Problems listed; one removed row must not print a million lines."""
KEPT_AT_LEAST: Final = dt.timedelta(days=90)
"""Retention never deletes entries that were sealed more recently; the database refuses it too."""
LATE: Final = dt.timedelta(hours=1)
EXPIRED_VERB, LOG_TYPE = "expired", "audit log"
ERASED_VERB: Final = "erased"
SOURCE: Final = ("address", "agent", "session", "token")
"""Values that retention erases from an entry by itself."""


@dataclass
class AuditVerification:
    """What was found. `problems` are in order of position, at most MAX_PROBLEMS of `problem_count`."""

    entries: int = 0
    """Sealed entries whose content matches their seal."""
    expired: int = 0
    """Seals whose entries retention deleted."""
    unsealed: int = 0
    oldest_unsealed: dt.datetime | None = None
    erased: int = 0
    """Entries with values that were erased for a person."""
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
        expiries = _recorded_expiries()
        for seals in _batches():
            _verify_batch(seals, expiries, expected, result)
        _verify_erasures(result)
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


@dataclass(frozen=True)
class _Expiry:
    """A sealed entry by which retention recorded what it was about to delete."""

    through: int
    position: int
    sealed_at: dt.datetime

    def covers(self, position: int, sealed_at: dt.datetime) -> bool:
        """Return whether the entry at this position was old enough to go when the expiry was recorded."""
        return position <= self.through < self.position and sealed_at < self.sealed_at - KEPT_AT_LEAST


def is_expiry_recorded(through: int, before: dt.datetime) -> bool:
    """Return whether it is on record that retention deletes the positions up to `through`, all sealed before `before`.

    A record from earlier, which somebody may have inserted, does not cover what was recent then.
    """
    return any(expiry.covers(through, before) for expiry in _recorded_expiries())


def _recorded_expiries() -> list[_Expiry]:
    """Return the newest expiry, and earlier ones that reach further."""
    done = AuditEntry.objects.filter(verb=EXPIRED_VERB, object_type=LOG_TYPE, actor=None).exclude(seal=None)
    rows = done.order_by("-seal__position").values_list("object_id", "seal__position", "seal__sealed_at")
    found: list[_Expiry] = []
    for text, position, sealed_at in rows:
        through = int(text) if text.isdecimal() else 0
        if through < position and (not found or through > found[-1].through):
            found.append(_Expiry(through, position, sealed_at))
    return found


def _batches() -> Iterator[Sequence[AuditSeal]]:
    position = 0
    while seals := list(AuditSeal.objects.filter(position__gt=position).order_by("position")[:BATCH]):
        yield seals
        position = seals[-1].position


def _verify_batch(
    seals: Sequence[AuditSeal], expiries: list[_Expiry], expected: dict[int, list[Head]], result: AuditVerification
) -> None:
    entries = AuditEntry.objects.in_bulk([seal.entry_id for seal in seals])
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
        elif any(expiry.covers(seal.position, seal.sealed_at) for expiry in expiries):
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
    result.erased += any(path not in SOURCE for path in seal.erased)
    result.sealed_late += seal.sealed_at - entry.at > LATE


def _verify_erasures(result: AuditVerification) -> None:
    """Compare the entries with erased values with what erasures recorded: blanking values needs no new chain."""
    done = AuditEntry.objects.filter(verb=ERASED_VERB, object_type="user").exclude(seal=None)
    counts = [(after or {}).get("entries") for after in done.values_list("after", flat=True)]
    recorded = sum(count for count in counts if isinstance(count, int))
    if result.erased > recorded:
        result.report(f"{result.erased} entries have erased values, and erasures recorded only {recorded}")


def _count_unsealed(result: AuditVerification) -> None:
    unsealed = AuditEntry.objects.filter(seal=None)
    result.unsealed = unsealed.count()
    oldest = unsealed.order_by("pk").first()
    result.oldest_unsealed = oldest.at if oldest else None
