"""The stack of the kernel object's programs: before Linux 6.13 functions that call one another share 512 bytes."""

from __future__ import annotations

import functools
import struct
from pathlib import Path
from typing import Final, NamedTuple

import pytest

OBJECT: Final = Path("sensor/capture/bpf/exec.bpf.o")
MOST_BYTES: Final = 512
"""MAX_BPF_STACK of the kernel (linux/filter.h), by which its verifier bounds the frames of a chain together."""
ROUNDED_TO: Final = 32
SYMBOLS, RELOCATIONS, FUNCTION = 2, 9, 2
LOAD, STORE, STORE_REGISTER = 1, 2, 3
ADD_NUMBER, FRAME, NEAR = 0x07, 10, 512


class Section(NamedTuple):
    """One section of an ELF file (elf(5)): its type, the two sections that it refers to, its content."""

    type: int
    link: int
    info: int
    content: bytes


class Function(NamedTuple):
    """Bytes of its own frame, and the functions that it calls."""

    frame: int
    calls: frozenset[str]


def sections(elf: bytes) -> list[Section]:
    table, size, number = struct.unpack_from("<Q10xHH", elf, 40)
    found = []
    for index in range(number):
        kind, start, length, link, info = struct.unpack_from("<4xI16xQQII", elf, table + size * index)
        found.append(Section(kind, link, info, elf[start : start + length]))
    return found


def functions(elf: bytes) -> dict[str, Function]:
    every = sections(elf)
    table = next(section for section in every if section.type == SYMBOLS)
    strings = every[table.link].content
    symbols = [struct.unpack("<IBxHQQ", table.content[at : at + 24]) for at in range(0, len(table.content), 24)]
    names = [strings[name : strings.index(b"\0", name)].decode() for name, *_ in symbols]
    targets: dict[tuple[int, int], str] = {}
    for section in (each for each in every if each.type == RELOCATIONS):
        for offset, information in struct.iter_unpack("<QQ", section.content):
            targets[section.info, offset] = names[information >> 32]
    found = {}
    for name, (_, kind, index, start, length) in zip(names, symbols, strict=True):
        if kind & 15 == FUNCTION:
            code = every[index].content
            calls = {targets[index, at] for at in range(start, start + length, 8) if (index, at) in targets}
            found[name] = Function(frame(code[start : start + length]), frozenset(calls))
    return found


def frame(code: bytes) -> int:
    """Return how far below its frame's end a function reaches: by loads, stores and addresses."""
    most = 0
    for operation, registers, offset, number in struct.iter_unpack("<BBhi", code):
        kind, target, source = operation & 7, registers & 15, registers >> 4
        base = source if kind == LOAD else target if kind in {STORE, STORE_REGISTER} else None
        if base == FRAME:
            most = max(most, -offset)
        elif operation == ADD_NUMBER and -NEAR <= number < 0:
            most = max(most, -number)
    return most


@pytest.fixture(scope="module")
def found() -> dict[str, Function]:
    return functions(OBJECT.read_bytes())


def test_no_chain_of_calls_takes_more_stack_than_older_kernels_have(found: dict[str, Function]) -> None:
    @functools.cache
    def deepest(name: str) -> tuple[int, tuple[str, ...]]:
        called = [deepest(each) for each in found[name].calls if each in found]
        below, chain = max(called, default=(0, ()))
        return -(-max(found[name].frame, 1) // ROUNDED_TO) * ROUNDED_TO + below, (name, *chain)

    too_deep = [chain for chain in map(deepest, found) if chain[0] > MOST_BYTES]
    assert too_deep == []


def test_the_frames_and_the_calls_are_found(found: dict[str, Function]) -> None:
    """Else the test above could not fail."""
    assert "put_opened" in found["on_exec"].calls
    assert "put_path" in found["put_opened"].calls
    assert found["on_exec"].frame > 100
