"""Hash files within bounds: of size, of time, and of what one container may have hashed."""

from __future__ import annotations

import collections
import hashlib
import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.files.budget import Budget
from sensor.files.deadline import QUICK_SECONDS, Worker
from sensor.files.handles import OpenFile

if TYPE_CHECKING:
    from sensor.wire import HashStatus

MAX_HASHED_BYTES: Final = 256 * 1024 * 1024
"""Larger files are reported with hash_status too_large; a quarter of a second at 1 GB/s."""
HASHED_PER_SECOND: Final = 16 * 1024 * 1024
HASHED_AT_ONCE: Final = 1024 * 1024 * 1024
"""Of one container: a budget that ever new large files run into, and that no honest workload does."""
HASH_SECONDS: Final = 5.0
HASHED_QUICKLY: Final = 50_000_000
"""For one file; 256 MiB take that at 50 MB/s, the bytes a second that no container is blamed for."""
FIRST_SILENCE: Final = 2.0
LONGEST_SILENCE: Final = 60.0
"""Seconds that nothing is read from a filesystem that gave no answer: a slow disk is soon asked again."""
RACY_NS: Final = 50_000_000
"""A file changed this shortly before may change again within one tick of its ctime: not cached."""


class _Silence(NamedTuple):
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
        self._silent: dict[int, _Silence] = {}
        self._entries = entries
        self._known: collections.OrderedDict[tuple[int, int, int, int], str] = collections.OrderedDict()

    def digest(self, file: OpenFile, payer: str = "") -> tuple[str | None, HashStatus]:
        """The file's sha256 in hex and "ok", or None and why not; "too_large" is also what is past a budget.

        `payer` is the container that it is hashed for; "" for an image's own file, which costs nobody.
        """
        known = self._known.get(file.key)
        if known is not None:
            self._known.move_to_end(file.key)
            return known, "ok"
        if file.size > self._limit or (payer and not self._budget.take(payer, file.size)):
            return None, "too_large"
        try:
            digest = self._in_time(file, payer)
        except OSError:
            return None, "unreadable"
        self._remember(file, digest)
        return digest, "ok"

    def _in_time(self, file: OpenFile, payer: str) -> str:
        """Raises OSError; a filesystem that did not answer is left alone for a while."""
        silence = self._silent.get(file.dev)
        if silence is not None and silence.until > time.monotonic():
            raise TimeoutError("its filesystem does not answer")
        self._worker.check(payer)
        again = OpenFile(os.dup(file.fd), file.size, file.ino, file.dev, file.ctime_ns)
        quick = QUICK_SECONDS + file.size / HASHED_QUICKLY
        try:
            digest = self._worker.run_for(payer, lambda: self._hash_and_close(again), self._seconds, quick=quick)
        except TimeoutError:
            self._silence(file.dev)
            raise
        self._silent.pop(file.dev, None)
        return digest

    def _silence(self, dev: int) -> None:
        """Longer each time, until the filesystem answers; long ones that are over are forgotten."""
        now = time.monotonic()
        self._silent = {
            each: silence for each, silence in self._silent.items() if silence.until > now - LONGEST_SILENCE
        }
        before = self._silent.get(dev)
        seconds = FIRST_SILENCE if before is None else min(2 * before.seconds, LONGEST_SILENCE)
        self._silent[dev] = _Silence(now + seconds, seconds)

    def _hash_and_close(self, file: OpenFile) -> str:
        try:
            return self._hash(file)
        finally:
            file.close()

    def _hash(self, file: OpenFile) -> str:
        path = f"/proc/self/fd/{file.fd}"
        with open(path, "rb", buffering=0) as again:  # noqa: PTH123 - own offset; O_PATH descriptors too
            return hashlib.file_digest(again, "sha256").hexdigest()

    def _remember(self, file: OpenFile, digest: str) -> None:
        if time.time_ns() - file.ctime_ns < RACY_NS:
            return
        self._known[file.key] = digest
        if len(self._known) > self._entries:
            self._known.popitem(last=False)
