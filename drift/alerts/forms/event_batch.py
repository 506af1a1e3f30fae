"""Read a batch of events or reports, bounded before it is read, while it is decompressed, and before it is parsed."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
from rest_framework.request import Request

from drift.alerts.errors import BadBody, TooLarge
from drift.web.bodies import BodyInvalid, BodyTooLarge, gunzip, read_body
from sensor import wire

MAX_BODY: Final = 8 * 1024 * 1024
"""Bytes as sent."""
MAX_DECOMPRESSED: Final = 16 * 1024 * 1024
"""Bytes after gzip. 1,000 events of the greatest size take twice that; the sensor splits such a batch."""
MAX_COMMAS: Final = 256 * wire.MAX_EVENTS
"""Commas in a batch, counted before parsing: a list of n items has n - 1, so millions of tiny items are rejected before
each becomes an object. A full event has about 200; one with more in its strings leaves room for fewer others."""

MAX_REPORTS_BODY: Final = 4 * 1024 * 1024
"""Bytes of reports, as sent and after gzip: 64 of the greatest size."""
MAX_REPORT_COMMAS: Final = 256 * wire.MAX_EXECS * wire.MAX_REPORTS
Shape = TypeVar("Shape", bound=msgspec.Struct)
_report_decoder = msgspec.json.Decoder(wire.ExecReportsRequest)
_decoder = msgspec.json.Decoder(wire.EventsRequest)


def read_events(request: Request) -> list[msgspec.Raw]:
    """Return the events of the request's body, each still JSON.

    Raises TooLarge (more bytes or events than allowed) and BadBody (unknown encoding, not gzip, not JSON, or not a
    list of events).
    """
    batch = _decoded(read_bounded_body(request, MAX_BODY, MAX_DECOMPRESSED), _decoder, MAX_COMMAS)
    return _bounded(batch.events, wire.MAX_EVENTS, "event")


def read_exec_reports(request: Request) -> list[msgspec.Raw]:
    """Return the reports of what containers executed in the request's body; raises as `read_events` does."""
    batch = _decoded(read_bounded_body(request, MAX_REPORTS_BODY, MAX_REPORTS_BODY), _report_decoder, MAX_REPORT_COMMAS)
    return _bounded(batch.reports, wire.MAX_REPORTS, "report")


def read_bounded_body(request: Request, most: int, most_decompressed: int) -> bytes:
    """Return the body, decompressed where it is gzip; raises TooLarge and BadBody."""
    try:
        data = read_body(request, most)
        encoding = request.headers.get("Content-Encoding", "identity").lower()
        if encoding == "gzip":
            return gunzip(data, most_decompressed)
        if encoding != "identity":
            raise BadBody("Send the batch uncompressed or with gzip.")
    except BodyTooLarge:
        raise TooLarge from None
    except BodyInvalid as error:
        raise BadBody(str(error)) from None
    return data


def _decoded(data: bytes, decoder: msgspec.json.Decoder[Shape], most_commas: int) -> Shape:
    if data.count(b",") > most_commas:
        raise TooLarge("The batch has too many values. Split it.")
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBody(str(error)) from None


def _bounded(items: list[msgspec.Raw], most: int, noun: str) -> list[msgspec.Raw]:
    if len(items) > most:
        raise TooLarge(f"A batch can have up to {most} {noun}s; this one has {len(items)}.")
    if not items:
        raise BadBody(f"A batch must have at least one {noun}.")
    return items
