"""Values from JSON that somebody else wrote, or that a disk may have damaged."""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T")


def decode(data: bytes | str | msgspec.Raw, shape: type[T]) -> T:
    """Return the value as `shape`. Raises msgspec.DecodeError, whatever is wrong with the bytes.

    msgspec itself also raises UnicodeDecodeError, and RecursionError where values are nested too deeply.
    """
    try:
        return msgspec.json.decode(data, type=shape)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"not UTF-8: {error}") from None
    except RecursionError:
        raise msgspec.DecodeError("nested too deeply") from None
