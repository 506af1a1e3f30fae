"""Reading a batch: bounded before it is read, bounded while it is inflated."""

from __future__ import annotations

import zlib
from typing import Final

import msgspec
from rest_framework.request import Request

from drift.alerts.errors import BadBody, TooLarge
from sensor import wire

MAX_BODY: Final = 8 * 1024 * 1024
"""Bytes as sent."""
MAX_INFLATED: Final = 16 * 1024 * 1024
"""Bytes after gzip: half of what 1,000 events of the greatest size would take, so such a batch is split."""
MAX_COMMAS: Final = 256 * wire.MAX_EVENTS
"""Commas in a batch: a list of n items has n - 1, so it is known to be short before it is made. A whole event has some
200; one that carries more in its texts has fewer beside it."""
GZIP: Final = 16 + zlib.MAX_WBITS

_decoder = msgspec.json.Decoder(wire.EventsRequest)


def read_events(request: Request) -> list[msgspec.Raw]:
    """The events of the request's body, each still JSON.

    Raises TooLarge (more bytes or events than allowed) and BadBody (unknown encoding, not gzip, not
    JSON, no list of events).
    """
    data = _read(request)
    match request.headers.get("Content-Encoding", "identity").lower():
        case "gzip":
            data = inflate(data)
        case "identity":
            pass
        case _:
            raise BadBody("Send the batch as it is, or with gzip.")
    if data.count(b",") > MAX_COMMAS:
        raise TooLarge("The batch holds too many values: split it.")
    try:
        events = _decoder.decode(data).events
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBody(str(error)) from None
    if len(events) > wire.MAX_EVENTS:
        raise TooLarge(f"A batch may hold {wire.MAX_EVENTS} events; this one holds {len(events)}.")
    if not events:
        raise BadBody("A batch holds at least one event.")
    return events


def _read(request: Request) -> bytes:
    """All of the body; the length that the sender claims is not believed when it reads as less."""
    try:
        length = int(request.headers.get("Content-Length") or 0)
    except ValueError:
        raise BadBody("Content-Length must be a number.") from None
    if length > MAX_BODY:
        raise TooLarge
    data = request._request.read(MAX_BODY + 1)
    if len(data) > MAX_BODY:
        raise TooLarge
    return data


def inflate(data: bytes, limit: int = MAX_INFLATED) -> bytes:
    """gzip's content, never more than `limit` bytes of it in memory. Raises TooLarge or BadBody."""
    stream = zlib.decompressobj(GZIP)
    try:
        inflated = stream.decompress(data, limit + 1)
    except zlib.error as error:
        raise BadBody(f"The body is not gzip: {error}.") from None
    if len(inflated) > limit:
        raise TooLarge
    if not stream.eof or stream.unused_data:
        raise BadBody("The body is not one whole gzip stream.")
    return inflated
