"""Request bodies, bounded before they are read and while they are decompressed."""

from __future__ import annotations

import zlib
from typing import Final

from rest_framework.request import Request

GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
"""Tells zlib to expect a gzip header (zlib manual: inflateInit2)."""


class BodyTooLarge(Exception):
    """The body is longer than allowed, as sent or decompressed."""


class BodyInvalid(Exception):
    """The body cannot be read; the message has the reason."""


def read_body(request: Request, limit: int) -> bytes:
    """Return the whole body, at most `limit` bytes. Raises BodyTooLarge, BodyInvalid."""
    try:
        length = int(request.headers.get("Content-Length") or 0)
    except ValueError:
        raise BodyInvalid("Content-Length must be a number.") from None
    if length > limit:
        raise BodyTooLarge
    # A sender may claim less than it sends, so what is read is bounded too.
    data = request._request.read(limit + 1)
    if len(data) > limit:
        raise BodyTooLarge
    return data


def gunzip(data: bytes, limit: int) -> bytes:
    """Return the content of one gzip stream, never holding more than `limit` + 1 bytes of it.

    Raises BodyTooLarge, BodyInvalid.
    """
    stream = zlib.decompressobj(GZIP_WINDOW)
    try:
        content = stream.decompress(data, limit + 1)
    except zlib.error as error:
        raise BodyInvalid(f"The body is not gzip: {error}.") from None
    if len(content) > limit:
        raise BodyTooLarge
    if not stream.eof or stream.unused_data:
        raise BodyInvalid("The body is not one whole gzip stream.")
    return content
