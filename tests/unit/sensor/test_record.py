"""Decoding of the kernel program's records."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.record import (
    HEADER_BYTES,
    VERSION,
    WRITER,
    Flag,
    LastWriter,
    Opened,
    RecordError,
    decode,
    device,
    kernel_device,
)
from tests.unit.sensor.records import encoded, opened_file, writer

name = st.binary(min_size=1, max_size=255).filter(lambda raw: b"\0" not in raw and b"/" not in raw)
path = st.lists(name, min_size=1, max_size=12).map(lambda parts: b"/" + b"/".join(parts))
argument = st.binary(max_size=60).filter(lambda raw: b"\0" not in raw)


@given(path, path, st.lists(argument, min_size=1, max_size=20).filter(lambda argv: argv[-1] != b""))
def test_any_bytes_in_names_and_arguments_are_decoded(exe: bytes, cwd: bytes, argv: list[bytes]) -> None:
    record = decode(encoded(path=exe, cwd=cwd, argv=b"".join(word + b"\0" for word in argv)))
    assert (record.path, record.cwd, record.argv) == (exe, cwd, tuple(argv))


def test_every_field_is_read_where_the_kernel_puts_it() -> None:
    flags = Flag.SCRIPT | Flag.UPPER
    record = decode(
        encoded(
            flags=flags,
            path=b"/mnt/a/b",
            mount_point=b"/mnt",
            inner_path=b"/z/a/b",
            filename=b"./s",
            loaded_by=b"/bin/y",
        )
    )
    assert record.flags == flags
    assert (record.time_ns, record.start_ns, record.namespace_id) == (5_000, 4_000, 77)
    assert (record.ino, record.size, record.ctime_ns) == (123, 10, 1_700_000_000_000_000_500)
    assert (record.dev, record.root_dev) == (os.makedev(0, 40), os.makedev(0, 40))
    assert (record.pid, record.uid, record.magic) == (3, 33, 0x794C7630)
    assert record.ancestors == ((2, b"sh"), (1, b"init"))
    assert (record.path, record.mount_point, record.inner_path) == (b"/mnt/a/b", b"/mnt", b"/z/a/b")
    assert (record.root, record.parent_path) == (b"/", b"/bin/sh")
    assert (record.cgroup, record.filename, record.loaded_by) == ((b"leaf", b"top"), b"./s", b"/bin/y")


def test_each_file_that_an_exec_opens_has_its_own_facts_and_writer() -> None:
    facts: dict[str, Any] = {
        "ino": 7,
        "size": 20,
        "ctime_sec": 1_700_000_000,
        "ctime_nsec": 9,
        "dev": 41,
        "magic": 0x794C7630,
    }
    script = opened_file(
        b"/mnt/s",
        b"/z/s",
        mount_point=b"/mnt",
        flags=Flag.UPPER,
        writer=writer(),
        writer_path=b"/usr/bin/curl",
        **facts,
    )
    record = decode(encoded(flags=Flag.SCRIPT, opened=script + opened_file(b"/lib/ld.so", is_interpreter=True, ino=8)))
    wrote = LastWriter(4_500, 9, b"curl", b"/usr/bin/curl", 8, b"nginx")
    first, second = record.opened
    assert first == Opened(
        is_interpreter=False,
        flags=Flag.UPPER,
        ino=7,
        size=20,
        ctime_ns=1_700_000_000_000_000_009,
        dev=os.makedev(0, 41),
        magic=0x794C7630,
        path=b"/mnt/s",
        mount_point=b"/mnt",
        inner_path=b"/z/s",
        writer=wrote,
    )
    assert (second.is_interpreter, second.path, second.ino, second.writer) == (True, b"/lib/ld.so", 8, None)
    assert record.writer is None
    alike = record.as_executable(first)
    assert (alike.path, alike.ino, alike.flags, alike.writer) == (b"/mnt/s", 7, Flag.UPPER, wrote)


def test_an_opened_file_that_is_cut_off_is_rejected() -> None:
    with pytest.raises(RecordError):
        decode(encoded(opened=opened_file(b"/s") + b"x"))


def test_the_writer_of_a_file_has_at_least_the_kernel_s_name_for_it() -> None:
    record = decode(encoded(writer=writer(parent=(0, b""))))
    assert record.writer == LastWriter(4_500, 9, b"curl", b"", 0, b"")


@pytest.mark.parametrize(
    ("count", "expected"), [(0, ()), (2, (b"dpkg", b"apt-get")), (9, (b"dpkg", b"apt-get", b"", b""))]
)
def test_as_many_programs_are_above_a_writer_as_the_record_counts(count: int, expected: tuple[bytes, ...]) -> None:
    wrote = WRITER.packed(at_ns=1, pid=9, lineage_count=count, comm=b"x", lineage=b"dpkg".ljust(16, b"\0") + b"apt-get")
    record = decode(encoded(writer=wrote))
    assert record.writer is not None and record.writer.lineage == expected


def test_empty_arguments_in_the_middle_are_kept() -> None:
    assert decode(encoded(argv=b"x\0\0y\0")).argv == (b"x", b"", b"y")


@given(st.integers(0, 2**12 - 1), st.integers(0, 2**20 - 1))
def test_device_numbers_round_trip(major: int, minor: int) -> None:
    dev = os.makedev(major, minor)
    assert device(kernel_device(dev)) == dev


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(encoded(version=VERSION + 1), id="another version"),
        pytest.param(encoded()[: HEADER_BYTES - 1], id="no whole header"),
        pytest.param(encoded()[:-1], id="a text cut off"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_an_invalid_record_is_rejected(data: bytes) -> None:
    with pytest.raises(RecordError):
        decode(data)
