"""What the kernel program's record of writers says of a file's data, and whether two looks saw the same data.

The record (`sensor/capture/bpf/writes.h`) is the only evidence that a file still holds what it held: change times and
sizes stay the same when a page of a shared mapping is written to.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec


class StateFlag:
    """The numbers are `enum state_flag` of record.h."""

    OPEN: Final = 1 << 0
    MAPPED: Final = 1 << 1
    OPENS_SEEN: Final = 1 << 2
    WRITES_SEEN: Final = 1 << 3
    WAS_MAPPED: Final = 1 << 4


class OriginFlag:
    """Who has opened a file for writing since its record began; the numbers are `enum origin` of record.h."""

    IMAGE: Final = 1 << 0
    RUNTIME: Final = 1 << 1
    UNKNOWN: Final = 1 << 2
    DRIFT: Final = 1 << 3
    OTHER: Final = 1 << 4
    WHOLE: Final = 1 << 5
    WORKLOAD: Final = 1 << 7
    EXEC: Final = 1 << 8
    NO_SESSION: Final = 1 << 9
    SEVERAL: Final = 1 << 10


_WRITERS: Final = OriginFlag.IMAGE | OriginFlag.RUNTIME | OriginFlag.UNKNOWN | OriginFlag.DRIFT
_WRITABLE: Final = StateFlag.OPEN | StateFlag.MAPPED
_SEEN: Final = StateFlag.OPENS_SEEN | StateFlag.WRITES_SEEN


class FileState(msgspec.Struct, frozen=True):
    """One look at a file's data: which inode has it, and what was recorded of its writers; times in ns since boot.

    `dev` is the kernel's own device number, `origins` flags of OriginFlag.
    """

    ino: int
    begun_ns: int
    opened_ns: int
    written_ns: int
    dev: int
    generation: int
    flags: int
    origins: int = 0

    @property
    def inode(self) -> tuple[int, int, int]:
        """Return what tells the inode from any other, also from one that had its number before."""
        return self.ino, self.dev, self.generation

    @property
    def data(self) -> tuple[int, ...]:
        """Return what tells these data from any others, where `is_lasting`."""
        return self.ino, self.dev, self.generation, self.begun_ns, self.opened_ns, self.written_ns

    @property
    def is_writable(self) -> bool:
        """Whether somebody could write to it then, without opening it once more."""
        return bool(self.flags & _WRITABLE)

    @property
    def is_lasting(self) -> bool:
        """Whether nobody could write to it then, and whoever does so later shows in the record."""
        return bool(self.flags & _SEEN) and not self.is_writable

    @property
    def has_known_writers(self) -> bool:
        """Whether all who wrote to it were seen, from when it was empty on, in the container that asks.

        Who opened it for writing counts as a writer where that is seen.
        """
        is_whole = self.origins & (OriginFlag.WHOLE | OriginFlag.OTHER) == OriginFlag.WHOLE
        return bool(self.flags & _SEEN) and is_whole and bool(self.origins & _WRITERS)

    @property
    def has_idle_opener(self) -> bool:
        """Whether who opened it for writing last has written nothing, as who opens a file to have it on the disk.

        Of writes through a mapping nobody can tell.
        """
        are_seen = self.flags & StateFlag.WRITES_SEEN and not self.flags & StateFlag.WAS_MAPPED
        return bool(are_seen) and self.opened_ns > self.written_ns > 0

    @property
    def is_memorable(self) -> bool:
        """Whether what is found of the data may be remembered.

        Not of a file that was ever mapped, shared and writable: a direct read from a slow device may go on filling a
        page of the mapping, long after that is gone.
        """
        return self.is_lasting and not self.flags & StateFlag.WAS_MAPPED

    def has_same_data(self, later: FileState) -> bool:
        """Return whether the file had the same data at a later look, too.

        An open for writing that wrote nothing, as of touch(1), changes no data; where each write is seen, that shows.
        """
        if not self.is_lasting or later.flags & StateFlag.MAPPED:
            return False
        if (self.inode, self.begun_ns) != (later.inode, later.begun_ns):
            return False
        if self.flags & StateFlag.WRITES_SEEN:
            return self.written_ns == later.written_ns
        return self.opened_ns == later.opened_ns


class FileThatRan(msgspec.Struct, frozen=True):
    """A file as the kernel found it at an exec; `state` is None where no writers are recorded.

    `is_settled`: it was changed last so long before that whatever is written to it since moves its change time.
    """

    state: FileState | None
    ctime_ns: int
    size: int
    is_settled: bool

    @property
    def is_lasting(self) -> bool:
        """Whether these data can be known for good: what is found of them stays true."""
        return self.state is not None and self.state.is_lasting


class WriteRecords(Protocol):
    """Reads the record of writers."""

    def look(self, fd: int) -> FileState | None:
        """Return the state of a file that is open for reading; None where nothing is known of it."""
        ...
