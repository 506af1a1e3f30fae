"""Marks of held execs, in a kernel's map that a test stands in for."""

from __future__ import annotations

import struct
import time

import pytest

from sensor.capture import block_tables
from sensor.capture.block_tables import BlockTableDescriptors, BlockTables, ExecMark, ExecMarks

MARKS = 3


class FakeKernel:
    """Maps by descriptor."""

    def __init__(self) -> None:
        self.maps: dict[int, dict[bytes, bytes]] = {MARKS: {}}

    def update(self, fd: int, key: bytes, value: bytes) -> None:
        self.maps[fd][key] = value

    def delete(self, fd: int, key: bytes) -> None:
        self.maps[fd].pop(key, None)

    def find(self, fd: int, key: bytes, _size: int) -> bytes | None:
        return self.maps[fd].get(key)

    def keys(self, fd: int, _size: int) -> list[bytes]:
        return list(self.maps[fd])


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def kernel() -> FakeKernel:
    return FakeKernel()


@pytest.fixture
def tables(kernel: FakeKernel) -> BlockTables:
    return BlockTables(kernel, BlockTableDescriptors(1, 2, MARKS, 4, 5, 6, 7))  # type: ignore[arg-type]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_mark_that_an_exec_left_behind_is_removed_once_it_has_expired(
    tables: BlockTables, kernel: FakeKernel, clock: Clock
) -> None:
    tables.mark(7, 1, ExecMarks.always(ExecMark.KILL))
    clock.now += block_tables.MARK_SECONDS - 1
    tables.mark(8, 1, ExecMarks.always(ExecMark.KILL))
    assert len(kernel.maps[MARKS]) == 2
    clock.now += 2
    tables.mark(9, 1, ExecMarks.always(ExecMark.KILL))
    assert len(kernel.maps[MARKS]) == 2


def test_a_mark_that_is_made_anew_lasts_as_long_as_any(tables: BlockTables, kernel: FakeKernel, clock: Clock) -> None:
    tables.mark(7, 1, ExecMarks.always(ExecMark.CHECKED))
    clock.now += block_tables.MARK_SECONDS - 1
    tables.mark(7, 1, ExecMarks.always(ExecMark.KILL))
    clock.now += 2
    tables.mark(8, 1, ExecMarks.always(ExecMark.KILL))
    assert len(kernel.maps[MARKS]) == 2


def test_a_mark_of_a_script_that_is_not_named_lasts_for_a_moment(tables: BlockTables, kernel: FakeKernel) -> None:
    tables.mark(7, 1, ExecMarks.always(ExecMark.KILL))
    tables.mark(7, block_tables.ANY_SCRIPT_INO, ExecMarks.always(ExecMark.KILL))
    named, unnamed = (int.from_bytes(value[:8], "little") for value in kernel.maps[MARKS].values())
    assert (named - unnamed) / 1e9 > block_tables.MARK_SECONDS - 2 * block_tables.ANY_SCRIPT_SECONDS


def test_of_several_scripts_of_one_exec_each_kill_stays(
    tables: BlockTables, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is killed in an exec session, the other in the workload's."""
    one = ExecMarks((None, None, ExecMark.KILL))
    other = ExecMarks((None, ExecMark.KILL, None))
    tables.mark(7, block_tables.ANY_SCRIPT_INO, one)
    tables.mark(7, block_tables.ANY_SCRIPT_INO, other)
    both = ExecMarks((None, ExecMark.KILL, ExecMark.KILL))
    assert what(kernel, 7) == both.packed()
    tables.mark(8, block_tables.ANY_SCRIPT_INO, other)
    assert what(kernel, 8) == other.packed()
    later = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + int(2 * block_tables.ANY_SCRIPT_SECONDS * 1e9)
    monkeypatch.setattr(time, "clock_gettime_ns", lambda _: later)
    tables.mark(7, block_tables.ANY_SCRIPT_INO, one)
    assert what(kernel, 7) == one.packed(), "those of an earlier exec have expired"


def what(kernel: FakeKernel, thread: int) -> int:
    """Return `what` of the mark of a thread's script that is not named."""
    value = kernel.maps[MARKS][struct.pack("<QII", block_tables.ANY_SCRIPT_INO, thread, 0)]
    found: int = struct.unpack("<QQQQQII", value)[4]
    return found


def test_the_marks_of_an_earlier_process_are_removed(tables: BlockTables, kernel: FakeKernel) -> None:
    tables.mark(7, 1, ExecMarks.always(ExecMark.KILL))
    tables.unmark(7, 1)
    assert kernel.maps[MARKS] == {}
    tables.mark(7, 1, ExecMarks.always(ExecMark.KILL))
    tables.remove_marks()
    assert kernel.maps[MARKS] == {}
