"""Bodies of sensor calls, bounded before they are read and decoded by the shapes of the wire."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
from rest_framework.request import Request

from drift.fleet.errors import FleetError
from drift.web.bodies import BodyInvalid, BodyTooLarge, read_body
from sensor import wire
from sensor.names.decode_errors import error_field

MAX_BODY: Final = 64 * 1024
"""Bytes of any call but events; the largest heartbeat has about 4 KiB."""

Shape = TypeVar("Shape", bound=msgspec.Struct)


def decode_body(request: Request, shape: type[Shape], limit: int = MAX_BODY, *, empty: bytes = b"") -> Shape:
    """Return the request's body as `shape`; `empty` stands in for an empty body.

    Raises FleetError: 413 `too_large` above `limit` bytes, 415 where it is compressed (only events may be), 400
    `invalid_length` or `invalid_json`, 422 `invalid` with the field, or `nul`.
    """
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise FleetError("unsupported_encoding", "Only events may be compressed.", status=415)
    try:
        value = msgspec.json.decode(read_body(request, limit) or empty, type=shape)
    except BodyInvalid as error:
        raise FleetError("invalid_length", str(error), status=400) from None
    except BodyTooLarge:
        raise FleetError("too_large", f"The body may have at most {limit} bytes.", status=413) from None
    except msgspec.ValidationError as error:
        raise FleetError("invalid", str(error), status=422, field=error_field(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FleetError("invalid_json", str(error), status=400) from None
    if wire.has_nul(value):
        raise FleetError("nul", "Strings must not contain NUL.", status=422)
    return value
