"""Hash files within bounds: of size, of time, and of what one container may have hashed."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.files.deadline import QUICK_SECONDS, Budget, Worker
from sensor.files.handles import OpenFile, file_status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sensor.file_state import FileState, FileThatRan, WriteRecords
    from sensor.wire import HashStatus

MAX_HASHED_BYTES: Final = 256 * 1024 * 1024
"""Larger files are reported with hash_status too_large; this much takes a quarter of a second at 1 GB/s."""
HASHED_PER_SECOND: Final = 16 * 1024 * 1024
HASHED_AT_ONCE: Final = 1024 * 1024 * 1024
"""Of one container: no honest workload reaches this; one that runs new large files over and over does."""
HASH_SECONDS: Final = 5.0
QUICK_BYTES_PER_SECOND: Final = 50_000_000
"""No container is blamed for a read at this speed; 256 MiB take HASH_SECONDS then."""
FIRST_BACKOFF: Final = 2.0
LONGEST_BACKOFF: Final = 60.0
"""Seconds without a read from a filesystem that did not answer: a slow disk is soon tried again."""
READ_BYTES: Final = 256 * 1024
AHEAD_BYTES: Final = 64 * 1024
LEAST_AHEAD: Final = 4
MOST_AHEAD: Final = 64
"""Files of at most AHEAD_BYTES, so many of them, are read with one wait for the thread that reads."""
AHEAD_SECONDS: Final = 0.25
RACY_NS: Final = 50_000_000
"""A file changed this recently may change again within one tick of its ctime: not remembered by that."""
_DataKey = tuple[int, ...]


class _Reading(NamedTuple):
    """A hash, and what the record of writers said before and after the content was read; None without a record."""

    sha256: str
    before: FileState | None
    after: FileState | None
    size: int
    """When the content was read: while a file is cut, its size changes before the record says so."""
    is_unchanged: bool
    """By change time and size, which show less."""


class _ReadAhead(NamedTuple):
    file: OpenFile
    reading: _Reading


class _Backoff(NamedTuple):
    until: float
    seconds: float


class Hasher:
    """sha256 of open files, remembered by what the record of writers says of their data. For one thread.

    Without `records` only images' own files are, by device, inode, change time and size.
    """

    def __init__(
        self,
        limit: int = MAX_HASHED_BYTES,
        entries: int = 65_536,
        *,
        records: WriteRecords | None = None,
        budget: Budget | None = None,
        worker: Worker | None = None,
        seconds: float = HASH_SECONDS,
    ) -> None:
        self._limit, self._seconds, self._records = limit, seconds, records
        self._budget = budget or Budget(HASHED_PER_SECOND, HASHED_AT_ONCE)
        self._worker = worker or Worker()
        self._backoffs: dict[int, _Backoff] = {}
        self._entries = entries
        self._ahead: dict[int, _ReadAhead] = {}
        self._known: collections.OrderedDict[_DataKey, str] = collections.OrderedDict()

    def digest_of_image(self, file: OpenFile) -> str | None:
        """Return the sha256 of an image's own file, None where it can't be had: nobody in a container writes to it."""
        known = self._remembered(file.key)
        if known is not None or file.size > self._limit:
            return known
        try:
            reading = self._read_in_time(file, "")
        except OSError:
            return None
        if reading.is_unchanged and time.time_ns() - file.ctime_ns >= RACY_NS:
            self._remember(file.key, reading.sha256)
        return reading.sha256

    def known(self, ran: FileThatRan) -> str | None:
        """Return the hash of what ran, if it is remembered: the file need not be there any more."""
        return self._remembered(ran.state.data) if ran.state is not None and ran.state.is_memorable else None

    def digest(self, file: OpenFile, payer: str = "", ran: FileThatRan | None = None) -> tuple[str | None, HashStatus]:
        """Return the file's sha256 in hex and "ok", or None and why not; "too_large" is also what is past a budget.

        With `ran` the hash is that of what the file held when it ran, or "gone" where that may be something else by
        now; without, that of what it holds now, or "gone" while it changes. `payer` is the container that it is hashed
        for, "" where that has no budget.
        """
        digest, status, _ = self.digest_and_state(file, payer, ran)
        return digest, status

    def digest_and_state(
        self, file: OpenFile, payer: str = "", ran: FileThatRan | None = None
    ) -> tuple[str | None, HashStatus, FileState | None]:
        """Return the same, and the state of the data that were hashed where a later write to them shows, else None."""
        known = self.known(ran) if ran is not None else None
        if known is not None:
            return known, "ok", None
        if ran is not None and ran.state is not None and ran.state.is_writable:
            return None, "gone", None
        if file.size > self._limit or (payer and not self._budget.take(payer, file.size)):
            return None, "too_large", None
        try:
            reading = self._taken_ahead(file) or self._read_in_time(file, payer, ran)
        except OSError:
            return None, "unreadable", None
        if not _is_certain(reading, file, ran):
            return None, "gone", None
        since = reading.before if ran is None else ran.state
        lasting = since if since is not None and since.is_lasting else None
        if lasting is not None and lasting.is_memorable:
            self._remember(lasting.data, reading.sha256)
        return reading.sha256, "ok", lasting

    def read_ahead(self, files: Mapping[str, Sequence[tuple[OpenFile, FileThatRan]]]) -> None:
        """Read what `digest` is about to be asked for, by payer: small files, with one wait for all of a payer's.

        Of a file that can't be read, or not in time, nothing is kept: `digest` tries it by itself.
        """
        self._ahead = {}
        for payer, each in files.items():
            with contextlib.suppress(OSError):  # the rest of this payer's would wait as long
                wanted = list(self._wanted_ahead(each))
                for start in range(0, len(wanted) - LEAST_AHEAD + 1, MOST_AHEAD):
                    self._ahead |= self._read_ahead_in_time(wanted[start : start + MOST_AHEAD], payer)

    def _wanted_ahead(self, files: Sequence[tuple[OpenFile, FileThatRan]]) -> Iterator[tuple[OpenFile, FileThatRan]]:
        """Yield those that would be read by themselves, data that several execs ran only once."""
        now, read = time.monotonic(), set[_DataKey]()
        waiting = {dev for dev, backoff in self._backoffs.items() if backoff.until > now}
        for file, ran in files:
            if file.size > AHEAD_BYTES or file.dev in waiting or self.known(ran) is not None:
                continue
            if ran.state is not None and ran.state.is_memorable:
                if ran.state.data in read:
                    continue
                read.add(ran.state.data)
            yield file, ran

    def _read_ahead_in_time(self, wanted: Sequence[tuple[OpenFile, FileThatRan]], payer: str) -> dict[int, _ReadAhead]:
        """Raises OSError."""
        self._worker.check(payer)
        with contextlib.ExitStack() as left:
            own = []
            for file, ran in wanted:
                own.append((file, _own(file), _lasting(ran)))
                left.callback(own[-1][1].close)
            left.pop_all()  # they are the thread's from now on

        def work() -> dict[int, _ReadAhead]:
            found = {}
            for file, handle, before in own:
                with contextlib.suppress(OSError):
                    found[file.fd] = _ReadAhead(file, self._read_and_close(handle, before))
            return found

        return self._worker.run_at_expense(payer, work, AHEAD_SECONDS, quick=AHEAD_SECONDS)

    def _taken_ahead(self, file: OpenFile) -> _Reading | None:
        ahead = self._ahead.pop(file.fd, None)
        # A descriptor's number is given again at once.
        return ahead.reading if ahead is not None and ahead.file is file else None

    def _remembered(self, key: _DataKey) -> str | None:
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
        return known

    def _remember(self, key: _DataKey, digest: str) -> None:
        self._known[key] = digest
        if len(self._known) > self._entries:
            self._known.popitem(last=False)

    def _read_in_time(self, file: OpenFile, payer: str, ran: FileThatRan | None = None) -> _Reading:
        """Raises OSError; a filesystem that did not answer is left alone for a while."""
        backoff = self._backoffs.get(file.dev)
        if backoff is not None and backoff.until > time.monotonic():
            raise TimeoutError("its filesystem does not answer")
        self._worker.check(payer)
        own, state = _own(file), _lasting(ran)
        quick = QUICK_SECONDS + file.size / QUICK_BYTES_PER_SECOND
        try:
            reading = self._worker.run_at_expense(
                payer, lambda: self._read_and_close(own, state), self._seconds, quick=quick
            )
        except TimeoutError:
            # Longer each time, until the filesystem answers; long ones that are over are forgotten.
            now = time.monotonic()
            self._backoffs = {dev: each for dev, each in self._backoffs.items() if each.until > now - LONGEST_BACKOFF}
            before = self._backoffs.get(file.dev)
            seconds = FIRST_BACKOFF if before is None else min(2 * before.seconds, LONGEST_BACKOFF)
            self._backoffs[file.dev] = _Backoff(now + seconds, seconds)
            raise
        self._backoffs.pop(file.dev, None)
        return reading

    def _read_and_close(self, file: OpenFile, before: FileState | None) -> _Reading:
        try:
            return self._read(file, before)
        finally:
            file.close()

    def _read(self, file: OpenFile, before: FileState | None = None) -> _Reading:
        """`before` is the state at an earlier time since when a write would show: then it need not be looked up."""
        # Opened again through /proc: an O_PATH handle can't be read.
        fd = file.fd if file.is_readable else os.open(f"/proc/self/fd/{file.fd}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if before is None:
                before = self._look(fd)
            known = self._known.get(before.data) if before is not None and before.is_memorable else None
            digest = known or _sha256(fd, file.size)
            after = self._look(fd)
        finally:
            if fd != file.fd:
                os.close(fd)
        status = file_status(file.fd)
        is_unchanged = (status.ctime_ns, status.size) == (file.ctime_ns, file.size)
        return _Reading(digest, before, after, status.size, is_unchanged)

    def _look(self, fd: int) -> FileState | None:
        return self._records.look(fd) if self._records is not None else None


def _own(file: OpenFile) -> OpenFile:
    """Return a handle of its own: where the thread that reads hangs, the caller closes the file's."""
    return OpenFile(os.dup(file.fd), file.size, file.ino, file.dev, file.ctime_ns, file.is_readable)


def _lasting(ran: FileThatRan | None) -> FileState | None:
    return ran.state if ran is not None and ran.is_lasting else None


def _sha256(fd: int, size: int) -> str:
    """Return the digest of all that can be read, whose size may have changed."""
    digest, offset = hashlib.sha256(), 0
    at_once = min(size + 1, READ_BYTES)
    # By position: a handle's duplicates share its offset.
    while content := os.pread(fd, at_once, offset):
        digest.update(content)
        offset += len(content)
    return digest.hexdigest()


def _is_certain(reading: _Reading, file: OpenFile, ran: FileThatRan | None) -> bool:
    """Return whether what was read is what ran; without `ran`, whether it stayed the same while it was read."""
    before, after = reading.before, reading.after
    # By times: all that there is on a kernel that records no writers.
    is_unchanged = reading.is_unchanged and (ran is None or (file.ctime_ns, file.size) == (ran.ctime_ns, ran.size))
    if before is None or after is None:
        return is_unchanged and (ran is None or ran.state is None)
    since = before if ran is None else ran.state
    size = file.size if ran is None else ran.size
    if since is None or since.is_writable or since.inode != before.inode or reading.size != size:
        return False
    if since.is_lasting:
        return since.has_same_data(after)
    # On this filesystem not every write is seen: nobody writes to it at either time, and its times are old enough.
    return is_unchanged and (ran is None or ran.is_settled) and not (before.is_writable or after.is_writable)
