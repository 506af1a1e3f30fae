"""Records as the kernel program writes them, and as they are decoded, with plain defaults."""

from __future__ import annotations

import dataclasses
import struct
from typing import Any

from sensor.record import MAX_ANCESTORS, VERSION, Record, decode

DEV = 40
"""A kernel device number: 0:40."""


def names(path: bytes) -> bytes:
    """A path as the kernel's walk gives it: its names, deepest first, each with a NUL."""
    return b"".join(part + b"\0" for part in reversed(path.split(b"/")) if part)


def encoded(
    *,
    version: int = VERSION,
    flags: int = 0,
    path: bytes = b"/bin/x",
    mount_point: bytes = b"/",
    inner_path: bytes = b"",
    cwd: bytes = b"/",
    root: bytes = b"/",
    parent_path: bytes = b"/bin/sh",
    cgroup: bytes = b"leaf\0top\0",
    filename: bytes = b"",
    loaded_by: bytes = b"/",
    argv: bytes = b"x\0",
    ancestors: tuple[tuple[int, bytes], ...] = ((2, b"sh"), (1, b"init")),
    dev: int = DEV,
    root_dev: int = DEV,
    writer: bytes = b"",
    writer_path: bytes = b"",
    script: bytes = b"",
    script_path: bytes = b"",
    script_inner: bytes = b"",
    script_writer: bytes = b"",
    script_writer_path: bytes = b"",
) -> bytes:
    """The bytes of one record."""
    below_mount = len(names(path)) - len(names(mount_point))
    sections = [names(path), names(inner_path), names(cwd), names(root), names(parent_path), cgroup]
    sections += [filename + b"\0" if filename else b"", names(loaded_by), names(writer_path)]
    sections += [names(script_path), names(script_inner), names(script_writer_path), argv]
    numbers = [5_000, 4_000, 77, 123, 10, 1_700_000_000, 500, 4_026_532_000, dev, root_dev, 3, 33, len(ancestors)]
    header = struct.pack("<II5Qq9I", version, flags, *numbers, 0x794C7630, below_mount)
    header += struct.pack("<13I", *map(len, sections))
    header += script.ljust(40, b"\0") + writer.ljust(48, b"\0") + script_writer.ljust(48, b"\0")
    padded = [*ancestors, *[(0, b"")] * (MAX_ANCESTORS - len(ancestors))]
    return header + b"".join(struct.pack("<I16s", pid, comm) for pid, comm in padded) + b"".join(sections)


def writer(pid: int = 9, name: bytes = b"curl", parent: tuple[int, bytes] = (8, b"nginx")) -> bytes:
    """A process that wrote a file, as it is in a record."""
    return struct.pack("<QII16s16s", 4_500, pid, parent[0], name, parent[1])


def record(*, flags: int = 0, **changes: Any) -> Record:
    """A decoded record with some fields changed."""
    return dataclasses.replace(decode(encoded()), flags=flags, **changes)
