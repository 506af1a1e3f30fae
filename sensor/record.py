"""One exec as the kernel program wrote it: the layout of `bpf/record.h`, decoded.

Names and arguments are bytes: nothing says they are UTF-8.
"""

from __future__ import annotations

import dataclasses
import os
import struct
from typing import Final

VERSION: Final = 2
MAX_ANCESTORS: Final = 16
SECTIONS: Final = 13
_HEADER: Final = struct.Struct(f"<II5Qq9I{SECTIONS}I")
_FILE: Final = struct.Struct("<QQqIIII")
_WRITER: Final = struct.Struct("<QII16s16s")
_ANCESTOR: Final = struct.Struct("<I16s")
_ANCESTORS_AT: Final = _HEADER.size + _FILE.size + 2 * _WRITER.size
HEADER_BYTES: Final = _ANCESTORS_AT + MAX_ANCESTORS * _ANCESTOR.size
_MINOR_BITS: Final = 20
"""Of the kernel's own dev_t, which is not the one that stat(2) shows."""


class Flag:
    """What the kernel saw of the file and the exec; the numbers are `enum flag` there."""

    UNKNOWN_NAMESPACE: Final = 1 << 0
    UPPER: Final = 1 << 1
    LOWER: Final = 1 << 2
    SCRIPT: Final = 1 << 3
    LOADER: Final = 1 << 4
    MEMFD: Final = 1 << 5
    ARGV_CUT: Final = 1 << 6
    ARGV_UNREADABLE: Final = 1 << 7
    OVERLAY_ROOT: Final = 1 << 8
    LIBRARY: Final = 1 << 9
    SCRIPT_SEEN: Final = 1 << 10
    SCRIPT_UPPER: Final = 1 << 11
    INTERPRETER: Final = 1 << 12
    KILLED: Final = 1 << 16
    KILL_LIMIT: Final = 1 << 17
    ENFORCED: Final = 1 << 18
    LATE: Final = 1 << 19
    WARM: Final = 1 << 20
    UNSTOPPABLE: Final = 1 << 31
    """Not the kernel's: the exec was seen by a backend that stops none."""


class RecordError(ValueError):
    """A record that this version of the sensor can't read."""


@dataclasses.dataclass(frozen=True, slots=True)
class LastWriter:
    """The process that wrote a file last, and its parent; `path` is its program's, b"" where that was not seen."""

    time_ns: int
    pid: int
    name: bytes
    path: bytes
    parent_pid: int
    parent_name: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Script:
    """The file that the kernel opened as the script of a `#!` exec; as in Record, its path without symlinks."""

    ino: int
    size: int
    ctime_ns: int
    dev: int
    magic: int
    path: bytes
    mount_point: bytes
    inner_path: bytes
    upper: bool
    writer: LastWriter | None


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One exec, or one mapping of a library. Times are ns since boot, devices as os.makedev, `ancestors` nearest first.

    `mount_point` is where the filesystem that the file is on is mounted; `inner_path` its path within
    that, known where overlay has it in its upper layer. `root` is the task's root directory, `/` but
    for a chroot. `cgroup` holds the names of the cgroup and those above it, deepest first. None is what a
    backend that asks afterwards could not learn.
    """

    flags: int
    time_ns: int
    start_ns: int | None
    namespace_id: int
    ino: int
    size: int
    ctime_ns: int
    namespace_inum: int
    dev: int
    root_dev: int
    magic: int
    pid: int
    uid: int | None
    ancestors: tuple[tuple[int, bytes], ...]
    path: bytes
    mount_point: bytes
    inner_path: bytes
    cwd: bytes | None
    root: bytes
    parent_path: bytes
    cgroup: tuple[bytes, ...]
    filename: bytes
    loaded_by: bytes
    argv: tuple[bytes, ...]
    writer: LastWriter | None = None
    script: Script | None = None

    def script_as_executable(self, script: Script) -> Record:
        """The same exec as if its script were the executable: the two are judged alike."""
        return dataclasses.replace(
            self,
            flags=Flag.UPPER if script.upper else 0,
            ino=script.ino,
            size=script.size,
            ctime_ns=script.ctime_ns,
            dev=script.dev,
            magic=script.magic,
            path=script.path,
            mount_point=script.mount_point,
            inner_path=script.inner_path,
            writer=script.writer,
            script=None,
        )


def decode(data: bytes) -> Record:
    """Decode one record of the ring; raises RecordError."""
    if len(data) < HEADER_BYTES or data[:4] != VERSION.to_bytes(4, "little"):
        raise RecordError("a record of another version of the kernel program")
    header = _HEADER.unpack_from(data)
    start_ns, namespace_id, ino, size, ctime_sec, ctime_nsec = header[3:9]
    inum, dev, root_dev, pid, uid, ancestors, magic, below_mount = header[9:17]
    sections = _sections(data, header[17:])
    path, inner, cwd, root, parent, cgroup, filename, loaded_by, writer, *of_script, argv = sections
    return Record(
        flags=header[1],
        time_ns=header[2],
        start_ns=start_ns,
        namespace_id=namespace_id,
        ino=ino,
        size=size,
        ctime_ns=ctime_sec * 1_000_000_000 + ctime_nsec,
        namespace_inum=inum,
        dev=device(dev),
        root_dev=device(root_dev),
        magic=magic,
        pid=pid,
        uid=uid,
        ancestors=_ancestors(data, ancestors),
        path=_path(path),
        mount_point=_path(path[below_mount:]),
        inner_path=_path(inner),
        cwd=_path(cwd),
        root=_path(root),
        parent_path=_path(parent) if parent else b"",
        cgroup=tuple(cgroup.split(b"\0")[:-1]),
        filename=filename.rstrip(b"\0"),
        loaded_by=_path(loaded_by),
        argv=tuple(argv.removesuffix(b"\0").split(b"\0")) if argv else (),
        writer=_writer(data, _HEADER.size + _FILE.size, writer),
        script=_script(data, header[1], *of_script) if header[1] & Flag.SCRIPT_SEEN else None,
    )


def _writer(data: bytes, start: int, path: bytes) -> LastWriter | None:
    time_ns, pid, parent_pid, name, parent_name = _WRITER.unpack_from(data, start)
    if not time_ns:
        return None
    program = _path(path) if path else b""
    return LastWriter(time_ns, pid, name.split(b"\0", 1)[0], program, parent_pid, parent_name.split(b"\0", 1)[0])


def _script(data: bytes, flags: int, path: bytes, inner: bytes, writer: bytes) -> Script:
    ino, size, ctime_sec, ctime_nsec, dev, magic, below_mount = _FILE.unpack_from(data, _HEADER.size)
    return Script(
        ino=ino,
        size=size,
        ctime_ns=ctime_sec * 1_000_000_000 + ctime_nsec,
        dev=device(dev),
        magic=magic,
        path=_path(path),
        mount_point=_path(path[below_mount:]),
        inner_path=_path(inner),
        upper=bool(flags & Flag.SCRIPT_UPPER),
        writer=_writer(data, _HEADER.size + _FILE.size + _WRITER.size, writer),
    )


def device(kernel: int) -> int:
    """The device number that stat(2) and mountinfo show, from the kernel's own."""
    return os.makedev(kernel >> _MINOR_BITS, kernel & ((1 << _MINOR_BITS) - 1))


def kernel_device(dev: int) -> int:
    """The kernel's own device number from that of stat(2)."""
    return os.major(dev) << _MINOR_BITS | os.minor(dev)


def _sections(data: bytes, lengths: tuple[int, ...]) -> list[bytes]:
    start = HEADER_BYTES
    sections = []
    for length in lengths:
        sections.append(data[start : start + length])
        start += length
    if start > len(data):
        raise RecordError("a record shorter than it says")
    return sections


def _ancestors(data: bytes, count: int) -> tuple[tuple[int, bytes], ...]:
    pairs = _ANCESTOR.iter_unpack(data[_ANCESTORS_AT:HEADER_BYTES])
    return tuple((pid, comm.split(b"\0", 1)[0]) for pid, comm in list(pairs)[:count])


def _path(names: bytes) -> bytes:
    """A path from its names, deepest first; where it was too deep, the topmost is `…`."""
    return b"/" + b"/".join(reversed(names.split(b"\0")[:-1]))
