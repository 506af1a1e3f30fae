"""Records as the kernel program writes them and as they are decoded, with simple defaults."""

from __future__ import annotations

from typing import Any

import msgspec

from sensor.record import (
    ANCESTOR,
    FILE_FACTS,
    FILE_STATE,
    HEAD,
    LENGTHS,
    MAX_ANCESTORS,
    OPENED,
    ROLE_INTERPRETER,
    SECTIONS,
    VERSION,
    WRITER,
    Opened,
    Record,
    decode,
)

DEV = 40
"""A kernel device number: 0:40."""


def names(path: bytes) -> bytes:
    """Return a path as the kernel program walks it: its names, deepest first, each with a NUL."""
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
    environ: bytes = b"",
    ancestors: tuple[tuple[int, bytes], ...] = ((2, b"sh"), (1, b"init")),
    dev: int = DEV,
    root_dev: int = DEV,
    writer: bytes = b"",
    state: bytes = b"",
    writer_path: bytes = b"",
    opened: bytes = b"",
) -> bytes:
    """Return the bytes of one record."""
    head = HEAD.packed(
        version=version,
        flags=flags,
        time_ns=5_000,
        start_ns=4_000,
        namespace_id=77,
        ino=123,
        size=10,
        ctime_sec=1_700_000_000,
        ctime_nsec=500,
        namespace_inum=4_026_532_000,
        dev=dev,
        root_dev=root_dev,
        pid=3,
        uid=33,
        ancestor_count=len(ancestors),
        magic=0x794C7630,
        below_mount=len(names(path)) - len(names(mount_point)),
    )
    sections = {
        "path": names(path),
        "inner_path": names(inner_path),
        "cwd": names(cwd),
        "root": names(root),
        "parent_path": names(parent_path),
        "cgroup": cgroup,
        "filename": filename + b"\0" if filename else b"",
        "loaded_by": names(loaded_by),
        "writer_path": names(writer_path),
        "opened": opened,
        "argv": argv,
        "environ": environ,
    }
    lengths = LENGTHS.packed(**{name: len(section) for name, section in sections.items()})
    writers = writer.ljust(WRITER.size, b"\0") + state.ljust(FILE_STATE.size, b"\0")
    padded = [*ancestors, *[(0, b"")] * (MAX_ANCESTORS - len(ancestors))]
    above = b"".join(ANCESTOR.packed(pid=pid, comm=comm) for pid, comm in padded)
    return head + lengths + writers + above + b"".join(sections.get(name, b"") for name in SECTIONS)


def opened_file(
    path: bytes,
    inner_path: bytes = b"",
    *,
    mount_point: bytes = b"/",
    flags: int = 0,
    is_interpreter: bool = False,
    writer: bytes = b"",
    writer_path: bytes = b"",
    **facts: int,
) -> bytes:
    """Return a file that an exec opened besides its program, as it appears in a record."""
    strings = names(path), names(inner_path), names(writer_path)
    file = FILE_FACTS.packed(below_mount=len(names(path)) - len(names(mount_point)), **facts)
    rest = OPENED.packed(
        role=ROLE_INTERPRETER if is_interpreter else 0,
        flags=flags,
        path_bytes=len(strings[0]),
        inner_path_bytes=len(strings[1]),
        writer_path_bytes=len(strings[2]),
    )
    return file + writer.ljust(WRITER.size, b"\0") + FILE_STATE.packed() + rest + b"".join(strings)


def as_opened(ran: Record, *, is_interpreter: bool = False) -> Opened:
    """Return the executable of one exec as a file that another one opened besides its program."""
    return Opened(
        is_interpreter=is_interpreter,
        flags=ran.flags,
        ino=ran.ino,
        size=ran.size,
        ctime_ns=ran.ctime_ns,
        dev=ran.dev,
        magic=ran.magic,
        path=ran.path,
        mount_point=ran.mount_point,
        inner_path=ran.inner_path,
        writer=ran.writer,
        state=ran.state,
    )


def writer(pid: int = 9, name: bytes = b"curl", parent: tuple[int, bytes] = (8, b"nginx")) -> bytes:
    """Return a process that wrote a file, as it appears in a record."""
    return WRITER.packed(at_ns=4_500, pid=pid, parent_pid=parent[0], comm=name, parent_comm=parent[1])


def record(*, flags: int = 0, **changes: Any) -> Record:
    """Return a decoded record with some fields changed."""
    return msgspec.structs.replace(decode(encoded()), flags=flags, **changes)
