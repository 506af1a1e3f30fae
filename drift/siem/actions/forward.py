"""Forward alerts to the destinations, each at least once (docs/siem.md#at-least-once).

A destination's cursor rises only once its records have arrived. Whoever dies before sends them again, with the same
ids. One worker at a time sends to a destination: it holds a claim, which expires.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
import uuid
from typing import Any, Final, Protocol

from django.db.models import F, Q
from django.db.models.functions import Now

from drift import queue
from drift.siem.actions.files import RecordFile
from drift.siem.actions.syslog import SyslogConnection
from drift.siem.domain.messages import json_line, syslog_frame
from drift.siem.domain.ocsf import detection_finding
from drift.siem.errors import ForwardingFailed
from drift.siem.models import RecordFormat, SiemDestination, Transport
from drift.siem.queries.records import Batch, next_batch, portal_host, record_of_test, settled_id
from sensor.version import VERSION

logger = logging.getLogger(__name__)

CLAIM: Final = dt.timedelta(seconds=60)
"""More than a batch takes, look-up and connections included."""
RUN_SECONDS: Final = 30
"""A task ends after this, so that one that is far behind leaves its worker to others in between."""
WRITER_SECONDS: Final = 10
"""How long a batch waits for transactions that write alerts."""
LONGEST_PAUSE: Final = 60


class Outlet(Protocol):
    """A way to a destination."""

    def deliver(self, encoded: bytes) -> None: ...

    def close(self) -> None: ...


def enqueue_due() -> None:
    """Queue a task for each destination that may have records behind its cursor."""
    for pk in SiemDestination.objects.filter(_is_due()).values_list("pk", flat=True):
        queue.send("siem.forward", pk)


def forward(pk: int) -> int:
    """Send a destination what is behind its cursor, for RUN_SECONDS at most; return the number of records sent."""
    claim = uuid.uuid4()
    if not SiemDestination.objects.filter(_is_due(), pk=pk).update(claim=claim, claimed_until=Now() + CLAIM):
        return 0
    sent = 0
    try:
        sent = _forward(SiemDestination.objects.select_related("scope_group").get(pk=pk), claim)
    except ForwardingFailed as error:
        _record_failure(pk, claim, str(error))
    except Exception:
        _record_failure(pk, claim, "An internal error; the worker's log has it.")
        raise
    else:
        _own(pk, claim).update(claimed_until=None)
    return sent


def _forward(destination: SiemDestination, claim: uuid.UUID) -> int:
    settled = settled_id(WRITER_SECONDS)
    if settled is None:
        raise ForwardingFailed("A transaction that writes alerts takes very long; see pg_stat_activity.")
    delivery: Outlet | None = None
    sent, deadline = 0, time.monotonic() + RUN_SECONDS
    try:
        while time.monotonic() < deadline:
            test = destination.test_requested_at
            batch = next_batch(destination, settled)
            if batch is None and test is None:
                break
            records = [*([record_of_test(destination.pk, test)] if test else []), *(batch.records if batch else [])]
            if records:
                delivery = delivery or _open(destination)
                delivery.deliver(b"".join(_encoded(destination, record) for record in records))
            if not _advance(destination, claim, batch, len(records), test):
                break
            sent += len(records)
    finally:
        if delivery is not None:
            delivery.close()
    return sent


def _advance(
    destination: SiemDestination, claim: uuid.UUID, batch: Batch | None, count: int, test: dt.datetime | None
) -> bool:
    """Record that a batch has arrived, and extend the claim. Returns False where the claim is another's by now."""
    values: dict[str, Any] = {"claimed_until": Now() + CLAIM, "failures": 0, "error": ""}
    destination.failures //= 2  # twice as many again in the next batch
    if batch is not None:
        values["cursor"] = destination.cursor = batch.cursor
    if count:
        values |= {"sent": F("sent") + count, "sent_at": Now()}
    own = _own(destination.pk, claim)
    if not own.filter(enabled=True).update(**values):
        return False
    if test is not None:
        own.filter(test_requested_at=test).update(test_requested_at=None)
        destination.test_requested_at = None
    return True


def _record_failure(pk: int, claim: uuid.UUID, reason: str) -> None:
    row = _own(pk, claim).first()
    if row is None:
        return
    pause = min(LONGEST_PAUSE, 5 * 2 ** min(row.failures, 10))
    _own(pk, claim).update(
        claimed_until=None, failures=F("failures") + 1, error=reason[:256], next_at=Now() + dt.timedelta(seconds=pause)
    )
    # Once per outage, not once per attempt.
    if row.failures == 0:
        logger.warning("forwarding to %s failed, and is retried: %s", row.name, reason)


def _is_due() -> Q:
    free = Q(claimed_until=None) | Q(claimed_until__lt=Now())
    return free & Q(enabled=True, next_at__lte=Now())


def _own(pk: int, claim: uuid.UUID) -> Any:
    return SiemDestination.objects.filter(pk=pk, claim=claim)


def _open(destination: SiemDestination) -> Outlet:
    return RecordFile(destination) if destination.transport == Transport.FILE else SyslogConnection(destination)


def _encoded(destination: SiemDestination, record: dict[str, Any]) -> bytes:
    is_ocsf = destination.record_format == RecordFormat.OCSF
    content = detection_finding(record, VERSION) if is_ocsf else record
    if destination.transport == Transport.FILE:
        return json_line(content)
    return syslog_frame(content, record["kind"], record["alert"]["severity"], record["at"], portal_host())
