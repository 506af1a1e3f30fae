"""Read a batch of events, bounded before it is read, while it is decompressed, and before it is parsed."""

from __future__ import annotations

from typing import Final

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

_decoder = msgspec.json.Decoder(wire.EventsRequest)


def read_events(request: Request) -> list[msgspec.Raw]:
    """Return the events of the request's body, each still JSON.

    Raises TooLarge (more bytes or events than allowed) and BadBody (unknown encoding, not gzip, not JSON, or not a
    list of events).
    """
    try:
        data = read_body(request, MAX_BODY)
        encoding = request.headers.get("Content-Encoding", "identity").lower()
        if encoding == "gzip":
            data = gunzip(data, MAX_DECOMPRESSED)
        elif encoding != "identity":
            raise BadBody("Send the batch uncompressed or with gzip.")
    except BodyTooLarge:
        raise TooLarge from None
    except BodyInvalid as error:
        raise BadBody(str(error)) from None
    if data.count(b",") > MAX_COMMAS:
        raise TooLarge("The batch has too many values. Split it.")
    try:
        events = _decoder.decode(data).events
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadBody(str(error)) from None
    if len(events) > wire.MAX_EVENTS:
        raise TooLarge(f"A batch can have up to {wire.MAX_EVENTS} events; this one has {len(events)}.")
    if not events:
        raise BadBody("A batch must have at least one event.")
    return events
