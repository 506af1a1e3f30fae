"""The little of Protocol Buffers that CRI needs: the encoding's fields by number, without schema or library.

Rules: https://protobuf.dev/programming-guides/encoding/. Unknown fields are kept apart by number, so a newer
runtime does no harm.
"""

from __future__ import annotations

from typing import Final

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5
MAX_VARINT_BYTES: Final = 10
_FIXED: Final = {FIXED64: 8, FIXED32: 4}


class ProtobufError(ValueError):
    """Bytes that are not a message: cut off, or of a wire type that proto3 does not have."""


class ProtobufMessage:
    """A message read by field number; absent fields have proto3's default."""

    def __init__(self, data: bytes) -> None:
        """Raises ProtobufError where `data` is not a message."""
        self._fields: dict[int, list[bytes | int]] = {}
        at = 0
        while at < len(data):
            at = self._take(data, at)

    def _take(self, data: bytes, at: int) -> int:
        key, at = _varint(data, at)
        number, wire_type = key >> 3, key & 7
        value: bytes | int
        if wire_type == VARINT:
            value, at = _varint(data, at)
        else:
            length, at = _varint(data, at) if wire_type == BYTES else (_fixed(wire_type), at)
            value = data[at : at + length]
            at += length
            if len(value) != length:
                raise ProtobufError("a truncated field")
        self._fields.setdefault(number, []).append(value)
        return at

    def text(self, number: int) -> str:
        """Return the last value of a string field, "" where there is none."""
        return self._last(number).decode(errors="backslashreplace")

    def message(self, number: int) -> ProtobufMessage:
        """Return the last value of a message field, an empty message where there is none."""
        return ProtobufMessage(self._last(number))

    def messages(self, number: int) -> list[ProtobufMessage]:
        """Return a repeated message field."""
        return [ProtobufMessage(value) for value in self._fields.get(number, []) if isinstance(value, bytes)]

    def strings(self, number: int) -> list[str]:
        """Return a repeated string field."""
        values = (value for value in self._fields.get(number, []) if isinstance(value, bytes))
        return [value.decode(errors="backslashreplace") for value in values]

    def texts(self, number: int) -> dict[str, str]:
        """Return a field of type map<string, string>: each entry is a message of key 1 and value 2."""
        return {entry.text(1): entry.text(2) for entry in self.messages(number)}

    def number(self, number: int) -> int:
        """Return the last value of an integer field, as unsigned; 0 where there is none."""
        value = self._fields.get(number, [0])[-1]
        return value if isinstance(value, int) else 0

    def _last(self, number: int) -> bytes:
        value = self._fields.get(number, [b""])[-1]
        return value if isinstance(value, bytes) else b""


def field(number: int, value: str | bytes | int) -> bytes:
    """Return one encoded field: a string, an encoded message, or an unsigned integer."""
    if isinstance(value, int):
        return _encoded(number << 3 | VARINT) + _encoded(value)
    raw = value.encode() if isinstance(value, str) else value
    return _encoded(number << 3 | BYTES) + _encoded(len(raw)) + raw


def _fixed(wire_type: int) -> int:
    if wire_type not in _FIXED:
        raise ProtobufError(f"wire type {wire_type} does not exist in proto3")
    return _FIXED[wire_type]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[at : at + MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise ProtobufError("a truncated number")


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
