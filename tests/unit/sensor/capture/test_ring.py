"""The ring reader, on a file that a stand-in for the kernel writes to."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.capture.ring import Ring

SIZE = mmap.PAGESIZE
BUSY, DISCARD = 1 << 31, 1 << 30


class Producer:
    """The kernel's side: writes records, and never overwrites an uncommitted one."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, 2 * mmap.PAGESIZE + 2 * SIZE)
        self._map = mmap.mmap(self.fd, 0)
        self._position = 0

    def put(self, body: bytes, flags: int = 0) -> bool:
        """Append a record; return False if the ring is full."""
        taken = (len(body) + 8 + 7) & ~7
        consumed = int.from_bytes(self._map[:8], "little")
        if self._position + taken - consumed > SIZE:
            return False
        for index, byte in enumerate((len(body) | flags).to_bytes(4, "little") + bytes(4) + body):
            offset = (self._position + index) % SIZE
            for copy in (0, SIZE):  # the kernel maps the data twice
                self._map[2 * mmap.PAGESIZE + copy + offset] = byte
        self._position += taken
        self._map[mmap.PAGESIZE : mmap.PAGESIZE + 8] = self._position.to_bytes(8, "little")
        return True

    def close(self) -> None:
        self._map.close()
        os.close(self.fd)


@pytest.fixture
def producer() -> Iterator[Producer]:
    producer = Producer()
    yield producer
    producer.close()


def read(ring: Ring) -> list[bytes]:
    return list(ring.records(1_000))


@given(st.lists(st.one_of(st.binary(max_size=600), st.just("commit"), st.just("restart")), max_size=60))
def test_every_record_is_read_once_per_commit_whatever_happens_between(steps: list[bytes | str]) -> None:
    producer = Producer()
    ring, written, committed = Ring(producer.fd, SIZE), [], 0
    seen: list[bytes] = []
    for step in steps:
        if isinstance(step, bytes) and producer.put(step):
            written.append(step)
        seen += read(ring)
        assert seen == written[committed : committed + len(seen)]
        if step == "commit":
            ring.commit()
            committed, seen = committed + len(seen), []
        if step == "restart":
            ring.close()
            ring, seen = Ring(producer.fd, SIZE), []
    assert seen + read(ring) == written[committed:]
    ring.close()
    producer.close()


def test_space_is_freed_only_by_a_commit(producer: Producer) -> None:
    ring = Ring(producer.fd, SIZE)
    while producer.put(b"x" * 500):
        pass
    assert read(ring)
    assert not producer.put(b"y" * 500)
    ring.commit()
    assert producer.put(b"y" * 500)
    ring.close()


def test_the_reader_waits_for_a_record_that_is_still_being_written(producer: Producer) -> None:
    ring = Ring(producer.fd, SIZE)
    producer.put(b"done")
    producer.put(b"half", BUSY)
    assert read(ring) == [b"done"]
    ring.close()


def test_a_discarded_record_is_skipped(producer: Producer) -> None:
    ring = Ring(producer.fd, SIZE)
    producer.put(b"gone", DISCARD)
    producer.put(b"kept")
    assert read(ring) == [b"kept"]
    ring.close()


def test_no_more_than_the_limit_is_read(producer: Producer) -> None:
    ring = Ring(producer.fd, SIZE)
    for body in (b"a", b"b", b"c"):
        producer.put(body)
    assert list(ring.records(2)) == [b"a", b"b"]
    assert list(ring.records(2)) == [b"c"]
    ring.close()


def test_uncommitted_records_are_counted_whether_read_or_not(producer: Producer) -> None:
    ring = Ring(producer.fd, SIZE)
    for body in (b"a", b"b", b"c"):
        producer.put(body)
    assert next(ring.records(1)) == b"a"
    ring.commit()
    assert next(ring.records(1)) == b"b"
    assert ring.uncommitted() == 2
    assert read(ring) == [b"c"]
    ring.close()


def test_what_is_looked_at_ahead_is_read_afterwards(producer: Producer) -> None:
    ring = Ring(producer.fd, SIZE)
    for body in (b"a", b"b", b"c"):
        producer.put(body)
    assert next(ring.records(1)) == b"a"
    assert ring.ahead(1) == [b"b"]
    assert ring.ahead(5) == [b"b", b"c"]
    assert read(ring) == [b"b", b"c"]
    assert ring.ahead(1) == []
    ring.close()
