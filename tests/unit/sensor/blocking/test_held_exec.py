"""Mount tables of processes that are held: parsed once, in bounded memory."""

from __future__ import annotations

from sensor.blocking.held_exec import MAX_REMEMBERED_BYTES, _mounts_by_id, _remembered

LINE = b"%d 1 0:31 / /mnt/%d rw - tmpfs t rw\n"


def test_an_unchanged_table_is_parsed_once() -> None:
    table = LINE % (21, 21)
    assert _mounts_by_id(table)[21].point == b"/mnt/21"
    assert _mounts_by_id(bytes(bytearray(table))) is _mounts_by_id(table)


def test_a_table_of_very_many_mounts_is_not_kept_in_memory() -> None:
    _remembered.cache_clear()
    table = b"".join(LINE % (number, number) for number in range(MAX_REMEMBERED_BYTES // 20))
    assert _mounts_by_id(table)[7].point == b"/mnt/7"
    assert _remembered.cache_info().currsize == 0
