"""The last execs of each container, which the kernel program keeps (`bpf/recorder.h`), read where one drifts.

A container has a track: 64 execs in turns, and 16 from before the kernel program knew it, which user space adds. A
mount namespace's registration names the track and its owner, a random number: once the track is given to another
container, what the kernel still has for the one before is kept nowhere.
"""

from __future__ import annotations

import dataclasses
import secrets
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from sensor.struct_layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.record import Record

TRACKS: Final = 256
TRACK_EXECS: Final = 64
EARLY_EXECS: Final = 16
ANCESTORS: Final = 4
UNREADABLE: Final = 0xFFFFFFFF
KEPT_ANCESTOR: Final = Layout(start_ns="Q", pid="I", unused="I")
KEPT_EXEC: Final = Layout(
    begun="Q",
    time_ns="Q",
    start_ns="Q",
    pid="I",
    uid="I",
    argv_bytes="I",
    unused="I",
    ancestors=f"{ANCESTORS * KEPT_ANCESTOR.size}s",
    parent_comm="16s",
    path="192s",
    argv="512s",
    ended="Q",
)
TRACK: Final = Layout(owner="Q", count="Q", skipped="Q", last_ns="Q", container_id="64s")
_PATH_BYTES: Final = 192
_ARGV_BYTES: Final = 511


class Maps(Protocol):
    """The calls of `Libbpf` that this needs."""

    def update(self, fd: int, key: bytes, value: bytes) -> None:
        """Set one element."""
        ...

    def lookup(self, fd: int, key: bytes, size: int) -> bytes:
        """Return one element."""
        ...


class Track(NamedTuple):
    """A container's track, as a registration names it; owner 0: none."""

    number: int
    owner: int


NO_TRACK: Final = Track(0, 0)


class Cursor(NamedTuple):
    """How many of a container's execs were read: those that the kernel kept, those before, those it did not keep.

    They are counted from when the container was given the track that has this owner.
    """

    kept: int = 0
    early: int = 0
    skipped: int = 0
    owner: int = 0


@dataclasses.dataclass(frozen=True)
class KeptExec:
    """One exec. Times are ns since boot, `ancestors` pid and start, nearest first; strings as given to execve."""

    time_ns: int
    start_ns: int
    pid: int
    uid: int | None
    ancestors: tuple[tuple[int, int], ...]
    parent_name: bytes
    path: bytes
    argv: tuple[bytes, ...]
    is_path_cut: bool = False
    is_argv_cut: bool = False


@dataclasses.dataclass(frozen=True)
class TrackReading:
    """Execs in the order of their times, how many between them are gone, and where the next reading goes on."""

    execs: tuple[KeptExec, ...]
    missed: int
    cursor: Cursor


class ExecTracks:
    """The tracks of one kernel program; what an earlier sensor left in them is taken over. For one thread."""

    def __init__(self, maps: Maps, tracks: int, execs: int) -> None:
        """`tracks` and `execs` are the descriptors of the two maps."""
        self._maps, self._tracks, self._execs = maps, tracks, execs
        self._by_id: dict[str, Track] = {}
        self._early: dict[str, int] = {}
        for number in range(TRACKS):
            head = self._head(number)
            if head.owner:
                container_id = head.container_id.rstrip(b"\0").decode(errors="replace")
                self._by_id[container_id] = Track(number, head.owner)
                self._early[container_id] = max(each.begun for each in self._early_slots(number))
        # The kernel goes on with the tracks that an earlier sensor gave, until they are switched off.
        self.is_on = bool(self._by_id)

    def switch(self, *, on: bool) -> None:
        """Give tracks from now on; or none, and forget every exec."""
        if not on:
            for number in range(TRACKS):
                if self._head(number).owner:
                    self._clear(number, TRACK.packed())
            self._by_id.clear()
            self._early.clear()
        self.is_on = on

    def give(self, container_id: str) -> Track:
        """Return the container's track, a new one where it has none; NO_TRACK while they are off."""
        if not self.is_on:
            return NO_TRACK
        known = self._by_id.get(container_id)
        if known is not None:
            return known
        number = self._free_number()
        track = Track(number, secrets.randbelow(2**64 - 1) + 1)
        # It executed just now: with no time of its last exec, it would be the next to lose its track.
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self._clear(number, TRACK.packed(owner=track.owner, last_ns=now, container_id=container_id.encode()[:64]))
        self._by_id[container_id] = track
        self._early[container_id] = 0
        return track

    def _free_number(self) -> int:
        """Return a track that nobody has; else take that of the container whose last exec is longest ago."""
        taken = {track.number: container_id for container_id, track in self._by_id.items()}
        if len(taken) < TRACKS:
            return next(number for number in range(TRACKS) if number not in taken)
        number = min(taken, key=lambda each: int(self._head(each).last_ns))
        del self._by_id[taken[number]], self._early[taken[number]]
        return number

    def add_early(self, container_id: str, record: Record) -> None:
        """Keep an exec that the kernel program sent because it did not know the container yet."""
        track = self._by_id.get(container_id)
        if track is None:
            return
        count = self._early[container_id] + 1
        slot = _slots(track.number) + TRACK_EXECS + (count - 1) % EARLY_EXECS
        self._maps.update(self._execs, _key(slot), _packed(record, count))
        self._early[container_id] = count

    def read(self, container_id: str, after: Cursor) -> TrackReading:
        """Return what the container executed since `after`; nothing where it has no track."""
        track = self._by_id.get(container_id)
        if track is None:
            return TrackReading((), 0, after)
        if after.owner != track.owner:
            after = Cursor(owner=track.owner)
        early, missed_early, early_read = self._read_early(track.number, self._early[container_id], after.early)
        kept, missed, kept_read = self._read_kept(track.number, after.kept)
        skipped = int(self._head(track.number).skipped)
        execs = tuple(sorted((*early, *kept), key=lambda each: each.time_ns))
        missed += missed_early + skipped - after.skipped
        return TrackReading(execs, missed, Cursor(kept_read, early_read, skipped, track.owner))

    def _read_early(self, number: int, count: int, after: int) -> tuple[list[KeptExec], int, int]:
        if count == after:
            return [], 0, count
        found = [_kept(each) for each in self._early_slots(number) if after < each.begun == each.ended]
        return found, count - after - len(found), count

    def _read_kept(self, number: int, after: int) -> tuple[list[KeptExec], int, int]:
        count = int(self._head(number).count)
        first = max(after, count - TRACK_EXECS) + 1
        found: dict[int, KeptExec] = {}
        last = count
        for exec_number in range(first, count + 1):
            slot = _slots(number) + (exec_number - 1) % TRACK_EXECS
            if self._slot(slot).ended != exec_number:
                if exec_number > int(self._head(number).count) - TRACK_EXECS:
                    last = exec_number - 1  # it is being written: read next time
                    break
                continue
            # Read again: the first look may have begun before the exec was written as a whole.
            found[exec_number] = _kept(self._slot(slot))
        # A slot that another exec may have taken meanwhile is not what it was.
        overwritten = int(self._head(number).count) - TRACK_EXECS
        execs = [each for exec_number, each in found.items() if exec_number > overwritten]
        return execs, last - after - len(execs), last

    def _early_slots(self, number: int) -> Iterator[Any]:
        start = _slots(number) + TRACK_EXECS
        for slot in range(start, start + EARLY_EXECS):
            yield self._slot(slot)

    def _clear(self, number: int, head: bytes) -> None:
        """Set a track's head first: from then on the kernel adds nothing of its owner before."""
        self._maps.update(self._tracks, _key(number), head)
        for slot in range(_slots(number), _slots(number + 1)):
            self._maps.update(self._execs, _key(slot), bytes(KEPT_EXEC.size))

    def _head(self, number: int) -> Any:
        return TRACK.read(self._maps.lookup(self._tracks, _key(number), TRACK.size))

    def _slot(self, slot: int) -> Any:
        return KEPT_EXEC.read(self._maps.lookup(self._execs, _key(slot), KEPT_EXEC.size))


def _slots(track: int) -> int:
    return track * (TRACK_EXECS + EARLY_EXECS)


def _key(number: int) -> bytes:
    return number.to_bytes(4, "little")


def _kept(fields: Any) -> KeptExec:
    is_readable = fields.argv_bytes != UNREADABLE
    argv = fields.argv[: min(fields.argv_bytes, _ARGV_BYTES)] if is_readable else b""
    path = fields.path.split(b"\0", 1)[0]
    above = [(pid, start_ns) for start_ns, pid, _ in KEPT_ANCESTOR.read_all(fields.ancestors) if pid]
    return KeptExec(
        time_ns=fields.time_ns,
        start_ns=fields.start_ns,
        pid=fields.pid,
        uid=fields.uid,
        ancestors=tuple(above),
        parent_name=fields.parent_comm.split(b"\0", 1)[0],
        path=path,
        argv=tuple(argv.removesuffix(b"\0").split(b"\0")) if argv else (),
        is_path_cut=len(path) == _PATH_BYTES - 1,
        is_argv_cut=not is_readable or fields.argv_bytes > _ARGV_BYTES,
    )


def _packed(record: Record, number: int) -> bytes:
    """Return an exec of the ring as the kernel program would have kept it."""
    path, argv = record.filename or record.path, b"\0".join((*record.argv, b"")) if record.argv else b""
    # Their starts are not in a record of the ring: parents are found by their pids.
    above = b"".join(KEPT_ANCESTOR.packed(pid=pid) for pid, _ in record.ancestors[:ANCESTORS])
    return KEPT_EXEC.packed(
        begun=number,
        time_ns=record.time_ns,
        start_ns=record.start_ns or 0,
        pid=record.pid,
        uid=record.uid or 0,
        argv_bytes=len(argv),
        ancestors=above,
        parent_comm=record.ancestors[0][1] if record.ancestors else b"",
        path=path[: _PATH_BYTES - 1],
        argv=argv[:_ARGV_BYTES],
        ended=number,
    )
