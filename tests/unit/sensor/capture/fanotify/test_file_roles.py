"""Which of the files opened by an exec is the program."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from sensor.capture.fanotify.file_roles import FileRole, FileShape, OpenSequences, file_shape

PT_LOAD, PT_INTERP = 1, 3


def elf(*segments: int, wide: bool = True, order: str = "<") -> bytes:
    """Return the first bytes of an ELF file with these program headers (elf(5))."""
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    size = 56 if wide else 32
    start = 64 if wide else 52
    words = "HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"
    head = ident + struct.pack(order + words, 2, 0, 1, 0, start, 0, 0, start, size, len(segments), 0, 0, 0)
    return head + b"".join(struct.pack(order + "I", kind) + bytes(size - 4) for kind in segments)


@pytest.mark.parametrize(
    ("content", "shape"),
    [
        (b"#!/bin/sh\n", FileShape.SCRIPT),
        (b"echo\n", FileShape.OTHER),
        (b"", FileShape.OTHER),
        (b"\x7fELF", FileShape.STATIC),
        (elf(PT_LOAD), FileShape.STATIC),
        (elf(PT_LOAD, PT_INTERP), FileShape.DYNAMIC),
        (elf(PT_LOAD, PT_INTERP, wide=False), FileShape.DYNAMIC),
        (elf(PT_LOAD, PT_INTERP, order=">"), FileShape.DYNAMIC),
        (elf(PT_LOAD, PT_INTERP)[:70], FileShape.STATIC),
    ],
)
def test_the_first_bytes_determine_how_the_kernel_runs_a_file(tmp_path: Path, content: bytes, shape: FileShape) -> None:
    (tmp_path / "x").write_bytes(content)
    fd = os.open(tmp_path / "x", os.O_RDONLY)
    try:
        assert file_shape(fd) is shape
    finally:
        os.close(fd)


def roles(*opened: tuple[int, FileShape]) -> list[FileRole]:
    sequences = OpenSequences()
    return [sequences.role(pid, shape) for pid, shape in opened]


def test_a_dynamic_program_s_loader_is_not_the_program() -> None:
    assert roles((1, FileShape.DYNAMIC), (1, FileShape.STATIC)) == [FileRole.PROGRAM, FileRole.LOADER]


def test_a_loader_that_is_run_directly_is_the_program() -> None:
    assert roles((1, FileShape.STATIC), (1, FileShape.STATIC)) == [FileRole.PROGRAM, FileRole.PROGRAM]


def test_a_script_is_followed_by_its_interpreter_and_the_interpreter_s_loader() -> None:
    opened = [(1, FileShape.SCRIPT), (1, FileShape.DYNAMIC), (1, FileShape.STATIC)]
    assert roles(*opened) == [FileRole.SCRIPT, FileRole.PROGRAM, FileRole.LOADER]


def test_processes_that_open_at_the_same_time_are_distinguished() -> None:
    opened = [(1, FileShape.DYNAMIC), (2, FileShape.STATIC), (1, FileShape.STATIC)]
    assert roles(*opened) == [FileRole.PROGRAM, FileRole.PROGRAM, FileRole.LOADER]


def test_a_failed_exec_has_no_role_and_leaves_no_state() -> None:
    assert roles((1, FileShape.DYNAMIC), (1, FileShape.OTHER), (1, FileShape.STATIC)) == [
        FileRole.PROGRAM,
        FileRole.REJECTED,
        FileRole.PROGRAM,
    ]
