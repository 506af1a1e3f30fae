"""Hash files within bounds: of size, of time, and of what one container may have hashed."""

from __future__ import annotations

import collections
import hashlib
import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.files.deadline import QUICK_SECONDS, Budget, Worker
from sensor.files.handles import OpenFile

if TYPE_CHECKING:
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
RACY_NS: Final = 50_000_000
"""A file changed this recently may change again within one tick of its ctime: not cached."""


class _Backoff(NamedTuple):
    until: float
    seconds: float


class Hasher:
    """sha256 of open files, remembered by device, inode, ctime and size. For one thread."""

    def __init__(
        self,
        limit: int = MAX_HASHED_BYTES,
        entries: int = 65_536,
        *,
        budget: Budget | None = None,
        worker: Worker | None = None,
        seconds: float = HASH_SECONDS,
    ) -> None:
        self._limit, self._seconds = limit, seconds
        self._budget = budget or Budget(HASHED_PER_SECOND, HASHED_AT_ONCE)
        self._worker = worker or Worker()
        self._backoffs: dict[int, _Backoff] = {}
        self._entries = entries
        self._known: collections.OrderedDict[tuple[int, int, int, int], str] = collections.OrderedDict()

    def digest(self, file: OpenFile, payer: str = "") -> tuple[str | None, HashStatus]:
        """Return the file's sha256 in hex and "ok", or None and why not; "too_large" is also what is past a budget.

        `payer` is the container that it is hashed for; "" for an image's own file, which costs no container.
        """
        key = file.key
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known, "ok"
        if file.size > self._limit or (payer and not self._budget.take(payer, file.size)):
            return None, "too_large"
        try:
            digest = self._digest_in_time(file, payer)
        except OSError:
            return None, "unreadable"
        if time.time_ns() - file.ctime_ns >= RACY_NS:
            self._known[key] = digest
            if len(self._known) > self._entries:
                self._known.popitem(last=False)
        return digest, "ok"

    def _digest_in_time(self, file: OpenFile, payer: str) -> str:
        """Raises OSError; a filesystem that did not answer is left alone for a while."""
        backoff = self._backoffs.get(file.dev)
        if backoff is not None and backoff.until > time.monotonic():
            raise TimeoutError("its filesystem does not answer")
        self._worker.check(payer)
        # A handle of its own: where the thread hangs, the caller closes the file's.
        own = OpenFile(os.dup(file.fd), file.size, file.ino, file.dev, file.ctime_ns)
        quick = QUICK_SECONDS + file.size / QUICK_BYTES_PER_SECOND
        try:
            digest = self._worker.run_at_expense(payer, lambda: self._hash_and_close(own), self._seconds, quick=quick)
        except TimeoutError:
            # Longer each time, until the filesystem answers; long ones that are over are forgotten.
            now = time.monotonic()
            self._backoffs = {dev: each for dev, each in self._backoffs.items() if each.until > now - LONGEST_BACKOFF}
            before = self._backoffs.get(file.dev)
            seconds = FIRST_BACKOFF if before is None else min(2 * before.seconds, LONGEST_BACKOFF)
            self._backoffs[file.dev] = _Backoff(now + seconds, seconds)
            raise
        self._backoffs.pop(file.dev, None)
        return digest

    def _hash_and_close(self, file: OpenFile) -> str:
        try:
            return self._hash(file)
        finally:
            file.close()

    def _hash(self, file: OpenFile) -> str:
        path = f"/proc/self/fd/{file.fd}"
        # Opened again through /proc: an O_PATH handle can't be read, and the offset is the hash's own.
        with open(path, "rb", buffering=0) as again:  # noqa: PTH123
            return hashlib.file_digest(again, "sha256").hexdigest()
