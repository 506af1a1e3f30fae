"""One exec as the kernel program wrote it: the layout of `sensor/capture/bpf/record.h`, decoded.

A test compares the layouts here with that header, field by field. Names and arguments are bytes: they need not be
UTF-8.
"""

from __future__ import annotations

import collections
import os
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sensor.file_state import FileState
from sensor.names.claimed_ids import claimed_id
from sensor.struct_layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION: Final = 7
MAX_ANCESTORS: Final = 16
MAX_LINEAGE: Final = 4
_COMM: Final = 16

ANCESTOR: Final = Layout(pid="I", comm="16s")
FILE_FACTS: Final = Layout(ino="Q", size="Q", ctime_sec="q", ctime_nsec="I", dev="I", magic="I", below_mount="I")
FILE_STATE: Final = Layout(
    ino="Q", begun_ns="Q", opened_ns="Q", written_ns="Q", dev="I", generation="I", flags="I", origins="I"
)
LOOK: Final = Layout(opener_pid="I", unused="I")
"""`struct look` behind the state."""
WRITER: Final = Layout(
    at_ns="Q",
    pid="I",
    parent_pid="I",
    is_opener="I",
    lineage_count="I",
    comm="16s",
    parent_comm="16s",
    lineage=f"{MAX_LINEAGE * _COMM}s",
)
OPENED: Final = Layout(
    role="I",
    flags="I",
    path_bytes="I",
    inner_path_bytes="I",
    writer_path_bytes="I",
    unused="I",
)
"""`struct opened_file` behind the file, its writer and its state."""
OPENED_BYTES: Final = FILE_FACTS.size + WRITER.size + FILE_STATE.size + OPENED.size
ROLE_INTERPRETER: Final = 1
"""Of `enum role`; the other is a script's."""
HEAD: Final = Layout(
    version="I",
    flags="I",
    time_ns="Q",
    start_ns="Q",
    namespace_id="Q",
    ino="Q",
    size="Q",
    ctime_sec="q",
    entered_ns="Q",
    ctime_nsec="I",
    namespace_inum="I",
    dev="I",
    root_dev="I",
    pid="I",
    uid="I",
    ancestor_count="I",
    magic="I",
    below_mount="I",
    session="I",
    entered_pid="I",
    unused="I",
)
"""`struct header` up to the lengths of the sections."""
SECTIONS: Final = (
    "path",
    "inner_path",
    "cwd",
    "root",
    "parent_path",
    "cgroup",
    "filename",
    "loaded_by",
    "writer_path",
    "opened",
    "argv",
    "environ",
)
"""`enum section`: the order of the strings behind the header."""
LENGTHS: Final = Layout(**dict.fromkeys(SECTIONS, "I"))
_Sections: Final[Any] = collections.namedtuple("_Sections", SECTIONS)  # type: ignore[misc]
PARTS: Final = {
    "head": HEAD,
    "length": LENGTHS,
    "writer": WRITER,
    "state": FILE_STATE,
}
"""`struct header` in the order of its parts; the ancestors follow."""
_AT: Final = {name: sum(part.size for part in list(PARTS.values())[:index]) for index, name in enumerate(PARTS)}
_ANCESTORS_AT: Final = sum(part.size for part in PARTS.values())
HEADER_BYTES: Final = _ANCESTORS_AT + MAX_ANCESTORS * ANCESTOR.size
_NS: Final = 1_000_000_000
_MINOR_BITS: Final = 20
"""Of the kernel's own dev_t, which is not the one that stat(2) shows."""


class Flag:
    """The kernel's facts about the file and the exec; the numbers are `enum flag` there."""

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
    UNSEEN: Final = 1 << 10
    READ: Final = 1 << 11
    INTERPRETER: Final = 1 << 12
    ROOT_BELOW: Final = 1 << 13
    STANDARD_INPUT: Final = 1 << 14
    KILLED: Final = 1 << 16
    ENFORCED: Final = 1 << 18
    LATE: Final = 1 << 19
    WARM: Final = 1 << 20
    ENTRY: Final = 1 << 21
    UNSTOPPABLE: Final = 1 << 31
    """Not the kernel's: the exec was seen by a backend that stops none."""


class SessionOf:
    """How a process came into its container; the numbers are `enum session`."""

    UNKNOWN: Final = 0
    WORKLOAD: Final = 1
    EXEC: Final = 2


class RecordError(ValueError):
    """A record that this version of the sensor can't read."""


class LastWriter(msgspec.Struct, frozen=True):
    """The process that wrote a file last, and its parent; `path` is its program's, b"" where that was not seen.

    `is_opener`: nobody else opened the file for writing after it did. `lineage` are the programs above it, nearest
    first, as far as each is known to be its image's; the first may also be an interpreter that was given a command.
    """

    time_ns: int
    pid: int
    name: bytes
    path: bytes
    parent_pid: int
    parent_name: bytes
    is_opener: bool = False
    lineage: tuple[bytes, ...] = ()


class Opened(msgspec.Struct, frozen=True):
    """A file that the kernel opened for an exec besides the program; as in Record, its path without symlinks.

    `is_interpreter`: the program's own (PT_INTERP), which is mapped beside it; else a script of a `#!` chain.
    """

    is_interpreter: bool
    flags: int
    ino: int
    size: int
    ctime_ns: int
    dev: int
    magic: int
    path: bytes
    mount_point: bytes
    inner_path: bytes
    writer: LastWriter | None
    state: FileState | None = None


# A struct of msgspec: of a frozen dataclass, setting its fields took half of the time of decoding.
class Record(msgspec.Struct, frozen=True):
    """One exec, one mapping of a library, or one file that an interpreter reads (Flag.READ).

    Times are ns since boot, devices as os.makedev, `ancestors` nearest first.
    `mount_point` is where the filesystem that the file is on is mounted; `inner_path` its path within
    that, known where overlay has it in its upper layer. `state` is what the record of writers says of its data.
    `root` is the task's root directory, `/` but for a chroot. `cgroup` holds the names of the cgroup and those above
    it, deepest first. `opened` are the scripts of a `#!` chain, outermost first, and the program interpreter where it
    may not be the image's. `session` is one of SessionOf; `entered_ns` and `entered_pid` say which exec entered the
    container, and of that one (Flag.ENTRY) `claimed_id` is the id in its environment. None is what a backend that
    looks afterwards could not learn.
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
    state: FileState | None = None
    opened: tuple[Opened, ...] = ()
    session: int = SessionOf.UNKNOWN
    entered_ns: int = 0
    entered_pid: int = 0
    claimed_id: bytes = b""

    def as_executable(self, opened: Opened) -> Record:
        """Return the same exec as if a file that it opened were the executable: the two are judged alike."""
        return msgspec.structs.replace(
            self,
            flags=opened.flags,
            ino=opened.ino,
            size=opened.size,
            ctime_ns=opened.ctime_ns,
            dev=opened.dev,
            magic=opened.magic,
            path=opened.path,
            mount_point=opened.mount_point,
            inner_path=opened.inner_path,
            writer=opened.writer,
            state=opened.state,
            opened=(),
        )


def decode(data: bytes) -> Record:
    """Decode one record of the ring; raises RecordError."""
    if len(data) < HEADER_BYTES or data[:4] != VERSION.to_bytes(4, "little"):
        raise RecordError("a record of another version of the kernel program")
    head = HEAD.read(data)
    sections = _sections(data)
    argv, parent_path = sections.argv, sections.parent_path
    return Record(
        flags=head.flags,
        time_ns=head.time_ns,
        start_ns=head.start_ns,
        namespace_id=head.namespace_id,
        ino=head.ino,
        size=head.size,
        ctime_ns=head.ctime_sec * _NS + head.ctime_nsec,
        namespace_inum=head.namespace_inum,
        dev=device(head.dev),
        root_dev=device(head.root_dev),
        magic=head.magic,
        pid=head.pid,
        uid=head.uid,
        ancestors=_ancestors(data, head.ancestor_count),
        path=_path(sections.path),
        mount_point=_path(sections.path[head.below_mount :]),
        inner_path=_path(sections.inner_path),
        cwd=_path(sections.cwd),
        root=_path(sections.root),
        parent_path=_path(parent_path) if parent_path else b"",
        cgroup=tuple(sections.cgroup.split(b"\0")[:-1]),
        filename=sections.filename.rstrip(b"\0"),
        loaded_by=_path(sections.loaded_by),
        argv=tuple(argv.removesuffix(b"\0").split(b"\0")) if argv else (),
        writer=last_writer(WRITER.read(data, _AT["writer"]), sections.writer_path),
        state=file_state(data, _AT["state"]),
        opened=tuple(_opened(sections.opened)) if sections.opened else (),
        session=head.session,
        entered_ns=head.entered_ns,
        entered_pid=head.entered_pid,
        claimed_id=claimed_id(sections.environ) if sections.environ else b"",
    )


def pid_and_size(data: bytes) -> tuple[int, int]:
    """Return these two of a record, 0 of one that can't be read."""
    head = HEAD.read(data.ljust(HEAD.size, b"\0"))
    return head.pid, head.size


def last_writer(fields: Any, path: bytes) -> LastWriter | None:
    """Return a `struct writer` with the names of its program's path; None where nobody was seen."""
    if not fields.at_ns:
        return None
    return LastWriter(
        time_ns=fields.at_ns,
        pid=fields.pid,
        name=_string(fields.comm),
        path=_path(path) if path else b"",
        parent_pid=fields.parent_pid,
        parent_name=_string(fields.parent_comm),
        is_opener=bool(fields.is_opener),
        lineage=tuple(
            _string(fields.lineage[place * _COMM : (place + 1) * _COMM])
            for place in range(min(fields.lineage_count, MAX_LINEAGE))
        ),
    )


def file_state(data: bytes, offset: int) -> FileState | None:
    """Return a `struct file_state`; None where nothing is recorded."""
    fields = FILE_STATE.read(data, offset)
    if not fields.begun_ns:
        return None
    return FileState(*fields)


def _opened(data: bytes) -> Iterator[Opened]:
    """Decode the files that an exec opened: each one's facts, its writer and the rest, then its three strings."""
    start = 0
    while start < len(data):
        if start + OPENED_BYTES > len(data):
            raise RecordError("an opened file shorter than its facts")
        file, writer = FILE_FACTS.read(data, start), WRITER.read(data, start + FILE_FACTS.size)
        state = file_state(data, start + FILE_FACTS.size + WRITER.size)
        rest = OPENED.read(data, start + OPENED_BYTES - OPENED.size)
        start += OPENED_BYTES
        strings = []
        for length in (rest.path_bytes, rest.inner_path_bytes, rest.writer_path_bytes):
            strings.append(data[start : start + length])
            start += length
        path, inner_path, writer_path = strings
        yield Opened(
            is_interpreter=rest.role == ROLE_INTERPRETER,
            flags=rest.flags,
            ino=file.ino,
            size=file.size,
            ctime_ns=file.ctime_sec * _NS + file.ctime_nsec,
            dev=device(file.dev),
            magic=file.magic,
            path=_path(path),
            mount_point=_path(path[file.below_mount :]),
            inner_path=_path(inner_path),
            writer=last_writer(writer, writer_path),
            state=state,
        )


def device(kernel: int) -> int:
    """Return the device number that stat(2) and mountinfo show, from the kernel's own."""
    return os.makedev(kernel >> _MINOR_BITS, kernel & ((1 << _MINOR_BITS) - 1))


def kernel_device(dev: int) -> int:
    """Return the kernel's own device number from that of stat(2)."""
    return os.major(dev) << _MINOR_BITS | os.minor(dev)


def _sections(data: bytes) -> Any:
    start = HEADER_BYTES
    sections = []
    for length in LENGTHS.read(data, _AT["length"]):
        sections.append(data[start : start + length])
        start += length
    if start > len(data):
        raise RecordError("a record shorter than its lengths say")
    return _Sections._make(sections)


def _ancestors(data: bytes, count: int) -> tuple[tuple[int, bytes], ...]:
    found = ANCESTOR.read_all(data[_ANCESTORS_AT : min(_ANCESTORS_AT + count * ANCESTOR.size, HEADER_BYTES)])
    return tuple((pid, _string(comm)) for pid, comm in found)


def _string(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _path(names: bytes) -> bytes:
    """Return a path from its names, deepest first; where it was too deep, the topmost is `…`."""
    return b"/" + b"/".join(reversed(names.split(b"\0")[:-1]))
