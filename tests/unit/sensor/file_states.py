"""A record of writers as the kernel program keeps it, for files that tests write."""

from __future__ import annotations

import os

import msgspec

from sensor.file_state import FileState, StateFlag
from sensor.record import LastWriter


class FakeWriteRecords:
    """Knows of each file the writes that a test notes; of all of them `flags`."""

    def __init__(self, flags: int = StateFlag.WRITES_SEEN) -> None:
        self.flags = flags
        self.begun_ns = 1
        self.written: dict[int, int] = {}
        self.opened: dict[int, int] = {}
        self.origins: dict[int, int] = {}
        self.writers: dict[int, LastWriter] = {}

    def look(self, fd: int) -> FileState | None:
        """Return the state of a file that is open."""
        return self.of(os.fstat(fd).st_ino)

    def look_at_writer(self, fd: int) -> tuple[FileState | None, LastWriter | None]:
        """Return the same, and who wrote the file last."""
        return self.look(fd), self.writers.get(os.fstat(fd).st_ino)

    def of(self, ino: int) -> FileState:
        """Return the state of a file."""
        written, opened = self.written.get(ino, 0), self.opened.get(ino, 0)
        origins = self.origins.get(ino, 0)
        return FileState(ino, self.begun_ns, opened, written, dev=0, generation=0, flags=self.flags, origins=origins)

    def note_write(self, ino: int) -> None:
        """Note a write to a file."""
        self.written[ino] = self.written.get(ino, 0) + 1


def replaced(state: FileState, **changes: int) -> FileState:
    """Return a state with some fields changed."""
    return msgspec.structs.replace(state, **changes)
