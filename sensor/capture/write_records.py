"""The kernel program's record of writers, read from user space: `bpf/writes.h` and `bpf/origin.h`."""

from __future__ import annotations

import fcntl
import struct
import threading
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from sensor.file_state import WriteRecords
from sensor.record import FILE_STATE, LOOK, WRITER, file_state, last_writer
from sensor.struct_layout import Layout

if TYPE_CHECKING:
    from sensor.capture.libbpf import Libbpf
    from sensor.file_state import FileState
    from sensor.record import LastWriter

_FILE_KEY: Final = struct.Struct("<QII")
WRITING: Final = Layout(mtime_sec="q", mtime_nsec="I", length="I", program="Q", changes="Q")
"""Of `struct writing`, behind writer and key: the time of the write, length of the names, and the writer's program."""
_NAMES_AT: Final = WRITER.size + _FILE_KEY.size + WRITING.size
_NAME_BYTES: Final = 384


class WriterRecords(WriteRecords, Protocol):
    """Reads who wrote a file, too."""

    def look_at_writer(self, fd: int) -> tuple[FileState | None, LastWriter | None]:
        """Return the state of a file that is open for reading, and who wrote it last; None for what is not known."""
        ...


class KernelWriteRecords:
    """See `WriterRecords`. Threads may share it."""

    def __init__(self, libbpf: Libbpf, observed: int, writers: int) -> None:
        self._libbpf, self._observed, self._writers = libbpf, observed, writers

    def look(self, fd: int) -> FileState | None:
        """Return the state of a file that is open for reading; None where nothing is known of it."""
        found = self._look(fd)
        return None if found is None else file_state(found, 0)

    def look_at_writer(self, fd: int) -> tuple[FileState | None, LastWriter | None]:
        """Return the same, and who wrote the file last: `is_opener` where the record knows of nobody later."""
        found = self._look(fd)
        state = None if found is None else file_state(found, 0)
        if found is None or state is None:
            return None, None
        key = _FILE_KEY.pack(*state.inode)
        writing = self._libbpf.find(self._writers, key, _NAMES_AT + _NAME_BYTES)
        if writing is None:
            return state, None
        length = WRITING.read(writing, WRITER.size + _FILE_KEY.size).length
        writer = last_writer(WRITER.read(writing), writing[_NAMES_AT : _NAMES_AT + length])
        if writer is None:
            return state, None
        opener = LOOK.read(found, FILE_STATE.size).opener_pid
        return state, msgspec.structs.replace(writer, is_opener=writer.pid == opener)

    def _look(self, fd: int) -> bytes | None:
        thread = threading.get_native_id().to_bytes(4, "little")
        # What is there is of an earlier look: some filesystems' servers see to locks themselves.
        self._libbpf.delete(self._observed, thread)
        # Has no effect but that the kernel program sees this file: nothing is locked.
        fcntl.flock(fd, fcntl.LOCK_UN)
        return self._libbpf.find(self._observed, thread, FILE_STATE.size + LOOK.size)
