"""A struct of the kernel program, read and written as the C compiler lays it out."""

from __future__ import annotations

import collections
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Layout:
    """One struct of record.h: its fields in order, each as a format of the struct module, little-endian, unpadded."""

    def __init__(self, **fields: str) -> None:
        self.fields = fields
        self._struct = struct.Struct("<" + "".join(fields.values()))
        # Not a dict: every record of the ring is decoded, and a tuple takes half the time.
        self._make: Any = collections.namedtuple("_values", fields)._make  # type: ignore[attr-defined]
        self.size = self._struct.size

    def read(self, data: bytes, offset: int = 0) -> Any:
        """Return the values as a named tuple; a string is as long as its field."""
        return self._make(self._struct.unpack_from(data, offset))

    def read_all(self, data: bytes) -> Iterator[tuple[Any, ...]]:
        """Return the values of each of many, as plain tuples in the order of the fields."""
        return self._struct.iter_unpack(data)

    def packed(self, **values: int | bytes) -> bytes:
        """Return the bytes of these values, 0 for what is not given."""
        blank = {name: b"" if form.endswith("s") else 0 for name, form in self.fields.items()}
        return self._struct.pack(*(blank | values).values())
