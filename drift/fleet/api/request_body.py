"""Reading what a sensor sends: bounded before it is read, decoded by the shapes of the wire."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from rest_framework.request import Request

from drift.fleet.errors import FleetError
from sensor import wire

MAX_BODY = 64 * 1024
"""Bytes of anything but events; the largest heartbeat takes some 4 KiB."""

Shape = TypeVar("Shape", bound=msgspec.Struct)


def decode(request: Request, shape: type[Shape], limit: int = MAX_BODY, *, empty: bytes = b"") -> Shape:
    """The request's body as `shape`; `empty` stands in for none.

    Raises Refused: 413 `too_large` past `limit` bytes, 415 where it is compressed (only events may
    be), 400 `invalid_json`, 422 `invalid` or `nul` with the field.
    """
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise FleetError("unsupported_encoding", "Only events may be compressed.", status=415)
    raw = _read(request, limit) or empty
    try:
        value = msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        raise FleetError("invalid", str(error), status=422, field=wire.error_field(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FleetError("invalid_json", str(error), status=400) from None
    if wire.has_nul(value):
        raise FleetError("nul", "No text may hold NUL.", status=422)
    return value


def _read(request: Request, limit: int) -> bytes:
    """All of the body; the length that the sender claims is not believed when it reads as less."""
    try:
        length = int(request.headers.get("Content-Length") or 0)
    except ValueError:
        raise FleetError("invalid_length", "Content-Length must be a number.", status=400) from None
    raw = b"" if length > limit else request._request.read(limit + 1)
    if length > limit or len(raw) > limit:
        raise FleetError("too_large", f"The body may take {limit} bytes.", status=413)
    return raw
