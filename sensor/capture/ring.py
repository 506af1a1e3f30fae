"""Reader of a BPF ring buffer on its mmap, which gives space back only on `commit`.

libbpf's own reader does so after each callback: what was handed over but not yet stored would be
lost with the process. Layout: kernel/bpf/ringbuf.c. One page with the consumer's position, one with
the producer's, then the data, mapped twice in a row so that a record never wraps.
"""

from __future__ import annotations

import ctypes
import mmap
import select
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_BUSY: Final = 1 << 31
_DISCARD: Final = 1 << 30
_HEADER_BYTES: Final = 8


class Ring:
    """The records of one ring, in order. `size` is the ring's data size in bytes, a power of two."""

    def __init__(self, fd: int, size: int) -> None:
        page = mmap.PAGESIZE
        self._mask = size - 1
        self._consumer_map = mmap.mmap(fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._producer_map = mmap.mmap(fd, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._words = memoryview(self._producer_map).cast("Q")
        self._data = memoryview(self._producer_map)[page:]
        self._consumer = ctypes.c_uint64.from_buffer(self._consumer_map)
        self._position = self._consumer.value
        self._fd = fd
        self._epoll: select.epoll | None = None
        self._closed = False

    def wait(self, timeout: float) -> None:
        """Return when the kernel has added a record, or after `timeout` seconds."""
        if self._epoll is None:
            self._epoll = select.epoll()
            # Edge-triggered: records that were read but not committed keep the ring readable.
            self._epoll.register(self._fd, select.EPOLLIN | select.EPOLLET)
        if self._position == self._words[0]:
            self._epoll.poll(timeout)

    def records(self, most: int) -> Iterator[bytes]:
        """Up to `most` records not yet read, oldest first."""
        producer = self._words[0]
        for _ in range(most):
            if self._position >= producer:
                return
            start = self._position & self._mask
            length = int.from_bytes(self._data[start : start + 4], "little")
            if length & _BUSY:
                return
            size = length & ~(_BUSY | _DISCARD)
            body = bytes(self._data[start + _HEADER_BYTES : start + _HEADER_BYTES + size])
            self._position += (size + _HEADER_BYTES + 7) & ~7
            if not length & _DISCARD:
                yield body

    def ahead(self, most: int) -> list[bytes]:
        """Return up to `most` records that `records` yields next."""
        position = self._position
        try:
            return list(self.records(most))
        finally:
            self._position = position

    def uncommitted(self) -> int:
        """How many records are in the ring, read or not, since the last commit."""
        read = self._position
        self._position = self._consumer.value
        try:
            return sum(1 for _ in self.records(self._mask + 1))
        finally:
            self._position = read

    def commit(self) -> None:
        """Give the space of everything read so far back to the kernel."""
        # One aligned 8-byte store: the kernel never sees half a position.
        self._consumer.value = self._position

    def close(self) -> None:
        """Unmap; what was not committed is read again by the next reader. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self._epoll is not None:
            self._epoll.close()
        self._words.release()
        self._data.release()
        del self._consumer
        self._consumer_map.close()
        self._producer_map.close()
