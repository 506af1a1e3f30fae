"""Add, switch, test and remove the destinations of alerts."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from accounts import audit
from accounts.models import User
from drift import queue
from drift.siem.errors import DestinationNameTaken, DestinationRejected
from drift.siem.models import SiemDestination, Transport
from drift.siem.queries.destinations import newest_change

MAX_DESTINATIONS: Final = 10
LOCK: Final = "add a SIEM destination"
AUDITED: Final = ("transport", "record_format", "host", "port", "file_name", "is_scoped")


@transaction.atomic(durable=True)
def add_destination(actor: User, values: dict[str, Any], *, from_start: bool = False) -> SiemDestination:
    """Add a destination; `values` are its columns. It gets what happens from now on; `from_start`: all that is stored.

    Raises DestinationNameTaken, DestinationRejected.
    """
    _check(values)
    with connection.cursor() as cursor:
        # Serialises additions: of two at once the second is counted, and its names compared, after the first.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [LOCK])
    rows = SiemDestination.objects
    if rows.filter(name=values["name"]).exists():
        raise DestinationNameTaken("A destination with this name already exists.")
    if values["file_name"] and rows.filter(file_name=values["file_name"]).exists():
        raise DestinationRejected("Another destination writes this file.")
    if rows.count() >= MAX_DESTINATIONS:
        raise DestinationRejected(f"At most {MAX_DESTINATIONS} destinations are allowed.")
    group = values.get("scope_group")
    row = rows.create(**values, is_scoped=group is not None, cursor=0 if from_start else newest_change())
    after = {**_audited(row), "scope_group": group.name if group else None, "from_start": from_start}
    audit.record(actor, "added", "SIEM destination", row.pk, name=row.name, after=after)
    return row


@transaction.atomic(durable=True)
def switch_destination(actor: User, pk: int, *, enabled: bool) -> bool:
    """Pause or resume a destination: it keeps its cursor. Returns False if there is no such destination."""
    row = SiemDestination.objects.select_for_update().filter(pk=pk).first()
    if row is None:
        return False
    if row.enabled != enabled:
        row.enabled, row.next_at, row.failures, row.error = enabled, timezone.now(), 0, ""
        row.save(update_fields=["enabled", "next_at", "failures", "error"])
        audit.record(actor, "resumed" if enabled else "paused", "SIEM destination", pk, name=row.name)
    return True


@transaction.atomic(durable=True)
def request_test(actor: User, pk: int) -> bool:
    """Send a test record before everything that waits. Returns False if there is no such enabled destination."""
    now = timezone.now()
    rows = SiemDestination.objects.filter(pk=pk, enabled=True)
    if not rows.update(test_requested_at=now, next_at=now):
        return False
    audit.record(actor, "tested", "SIEM destination", pk, name=rows.get().name)
    queue.enqueue("siem.forward", pk)
    return True


@transaction.atomic(durable=True)
def remove_destination(actor: User, pk: int) -> bool:
    """Remove a destination with its cursor. Returns False if there is no such destination."""
    row = SiemDestination.objects.select_for_update().filter(pk=pk).first()
    if row is None:
        return False
    audit.record(actor, "removed", "SIEM destination", pk, name=row.name, before=_audited(row))
    row.delete()
    return True


def _check(values: dict[str, Any]) -> None:
    if values["transport"] == Transport.FILE and not settings.SIEM_DIRECTORY:
        raise DestinationRejected("Files need the setting SIEM_DIRECTORY.")
    if values["transport"] == Transport.TCP and not settings.NOTIFY_ALLOW_HTTP:
        raise DestinationRejected("Syslog without TLS needs the setting NOTIFY_ALLOW_HTTP.")


def _audited(row: SiemDestination) -> dict[str, Any]:
    return {name: getattr(row, name) for name in AUDITED}
