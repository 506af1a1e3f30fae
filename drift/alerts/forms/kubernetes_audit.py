"""Read a batch of Kubernetes audit events, bounded before it is read, decompressed and parsed."""

from __future__ import annotations

from typing import Final

from rest_framework.request import Request

from drift.alerts.domain.kubernetes_audit import AuditEventInvalid, EntryRequest, entry_request, read_events
from drift.alerts.errors import BadBody, TooLarge
from drift.alerts.forms.event_batch import read_bounded_body

MAX_BODY: Final = 16 * 1024 * 1024
"""Bytes as sent, and after gzip."""
MAX_EVENTS: Final = 10_000
MAX_SEPARATORS: Final = 1_000_000
"""Commas, or ends of lines, in a batch: millions of tiny items are refused before each becomes an object."""


def read_audit_batch(request: Request) -> tuple[list[EntryRequest], int, int]:
    """Return the requests to run something in a pod, how many other events there were, and how many are not valid.

    Raises TooLarge, and BadBody for a body that is no list of audit events.
    """
    return parsed_audit_events(read_bounded_body(request, MAX_BODY, MAX_BODY))


def parsed_audit_events(data: bytes) -> tuple[list[EntryRequest], int, int]:
    """Return the same of bytes; raises TooLarge and BadBody."""
    if max(map(data.count, (b",", b"\n", b"\r"))) > MAX_SEPARATORS:
        raise TooLarge("The batch has too many values. Split it.")
    try:
        events = read_events(data)
    except AuditEventInvalid as error:
        raise BadBody(str(error)) from None
    if len(events) > MAX_EVENTS:
        raise TooLarge(f"A batch can have up to {MAX_EVENTS} events; this one has {len(events)}.")
    found: list[EntryRequest] = []
    others = invalid = 0
    for raw in events:
        try:
            request = entry_request(raw)
        except AuditEventInvalid:
            invalid += 1
            continue
        if request is None:
            others += 1
        else:
            found.append(request)
    return found, others, invalid
