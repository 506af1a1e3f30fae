"""Files that containers execute, held open until their execs are examined: also those that are unlinked as they run.

A fanotify group reports each file that is opened to be executed, and the kernel keeps it until the report is read. That
takes SYS_ADMIN; without it a file is reached through its process or by its path, or not at all.
"""

from __future__ import annotations

import collections
import contextlib
import os
import resource
import select
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.capture.errors import CaptureUnavailable
from sensor.capture.fanotify.group import OPEN_EXEC, Fanotify, OpenEvent, Scope
from sensor.container.base import payer_id
from sensor.container.mounts import HOST_INIT, NODE_ROOTS, NOTHING_RUNS, mount_id, mount_namespace, read_mounts
from sensor.container.overlay import parse_options
from sensor.container.recent import Recent
from sensor.files.deadline import in_time
from sensor.files.handles import OpenFile, file_status, look_up, open_directory
from sensor.judgement.exec_files import FUSE_MAGIC
from sensor.record import Flag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sensor.container.identify import Resolved
    from sensor.container.mounts import Mount
    from sensor.container.overlay import Layers
    from sensor.record import Record

MAX_KEPT: Final = 512
"""Files held open at once; more wait in the kernel's queue."""
READ_EVENTS: Final = 64
SLACK: Final = 16
"""Execs that may overtake one another between the open of their file and their record: of as many CPUs."""
WANTED_DESCRIPTORS: Final = 4_096
KEPT_SECONDS: Final = 2.0
"""For an exec that was never reported: it failed, or its file is the image's."""
SETTLED_NS: Final = 1_000_000_000
"""A file that was changed before that is executed again more likely than written to."""
MAX_REPEATED: Final = 8_192
FDINFO_BYTES: Final = 512
"""Holds the first lines of it: position, flags, mount and inode number."""
TICK_NS: Final = 10_000_000
"""A change time may be that much older than the change: the kernel's clock for it ticks."""


class _KeptFile:
    """A file with the time (monotonic) when it was taken from the queue."""

    __slots__ = ("file", "since")

    def __init__(self, file: OpenFile) -> None:
        self.file, self.since = file, time.monotonic()


class KeptFiles:
    """The files of execs that were not examined yet, by process. For one thread."""

    def __init__(self, group: Fanotify) -> None:
        self._group = group
        self._kept: collections.OrderedDict[tuple[int, int], list[_KeptFile]] = collections.OrderedDict()
        self._count = 0
        self._places: dict[tuple[int, int], int] = {}
        self._reached = -1
        self._seen_once: Recent[tuple[int, int, int, int], None] = Recent(MAX_REPEATED)
        self._marked: frozenset[Mount] = frozenset()
        self._table = os.open(f"/proc/{HOST_INIT}/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._table, select.POLLPRI | select.POLLERR)
        self._mark_overlays()

    @classmethod
    def start(cls) -> KeptFiles | None:
        """Return a keeper; None where this process may not have one. Raises the limit of open descriptors if it may."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < WANTED_DESCRIPTORS:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, WANTED_DESCRIPTORS), hard))
        try:
            return cls(Fanotify())
        except (CaptureUnavailable, OSError):
            return None

    def follow_mounts(self) -> None:
        """Watch the root filesystems that runtimes have mounted since, before anything runs there."""
        if self._poll.poll(0):
            self._mark_overlays()

    def _mark_overlays(self) -> None:
        mounts = read_mounts(HOST_INIT)
        overlays = frozenset(mount for mount in mounts if mount.fstype == b"overlay")
        own = Path("/").stat().st_dev
        for mount in overlays - self._marked:
            layers = parse_options(mount.options)
            if mount.dev == own or (layers is not None and _is_remote(layers, mounts)):
                continue  # to open a file on a filesystem with a server may never end
            for prefix in NODE_ROOTS:
                with contextlib.suppress(OSError):
                    self._mark_root(prefix + mount.point, mount.dev)
        self._marked = overlays

    def watch(self, record: Record, resolved: Resolved) -> None:
        """Keep what is executed on a container's other mounts from now on, once its root is known."""
        with contextlib.suppress(OSError, TimeoutError):
            in_time(lambda: self._mark_all(record, resolved), lambda _: None, payer=payer_id(record.cgroup))

    def _mark_all(self, record: Record, resolved: Resolved) -> None:
        mounts = read_mounts(record.pid) if mount_namespace(record.pid) == record.namespace_inum else []
        with contextlib.suppress(OSError), open_directory(f"/proc/{record.pid}/root") as root:
            for mount in mounts:
                if mount.dev != resolved.root_dev and not mount.is_remote and mount.fstype not in NOTHING_RUNS:
                    with contextlib.suppress(OSError):
                        self._mark_mount(root, mount)

    def _mark_root(self, path: bytes, dev: int) -> None:
        with open_directory(path) as root:
            # Where the container has just ended, the path leads to a directory of the node's.
            if file_status(root).dev == dev:
                self._group.mark(OPEN_EXEC, Scope.FILESYSTEM, fd=root)

    def _mark_mount(self, root: int, mount: Mount) -> None:
        handle = look_up(root, mount.point)
        try:
            # By no other: the filesystem may be one of the node's.
            if mount_id(handle) == mount.id:
                self._group.mark(OPEN_EXEC, Scope.MOUNT, fd=handle)
        finally:
            os.close(handle)

    def expect(self, execs: Iterable[tuple[int, int]]) -> None:
        """Learn which execs are asked for next, in their order, by pid and size.

        A file of a later one shows that the queue was read far enough for an earlier one, whose file was not reported:
        reading on when there is no more room would push out what the later ones need.
        """
        self._places = {}
        for place, key in enumerate(execs):
            self._places.setdefault(key, place)
        self._reached = max((self._places.get(key, -1) for key in self._kept), default=-1)

    def take(self, record: Record, place: int = 0) -> OpenFile | None:
        """Return the executable of an exec as it was opened; the caller closes it. `place` is that among the expected.

        None where it was not reported, such as one that was executed before and not written to since.
        """
        if record.magic == FUSE_MAGIC or record.flags & Flag.MEMFD:
            return None
        wall_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME) + record.time_ns
        key = record.pid, record.size
        found, has_more = self._take_kept(key, record), True
        # One that took long may be far behind: its file stops the reading only where there is no room for more.
        while found is None and has_more and (self._reached < place + SLACK or self._count + READ_EVENTS <= MAX_KEPT):
            has_more = self._read(wall_ns)
            found = self._take_kept(key, record)
        return found

    def _take_kept(self, key: tuple[int, int], record: Record) -> OpenFile | None:
        kept = self._kept.get(key, [])
        for index, each in enumerate(kept):
            if each.file.ino == record.ino or _inode_number(each.file) == record.ino:
                del kept[index]
                self._count -= 1
                if not kept:
                    del self._kept[key]
                return each.file
        return None

    def _read(self, wall_ns: int) -> bool:
        """Take more from the queue; returns False where what comes is of later execs, or nothing."""
        events = self._group.read(READ_EVENTS)
        is_later = False
        for event in events:
            with contextlib.suppress(OSError):
                is_later |= self._keep(event).ctime_ns > wall_ns + TICK_NS
        while self._count > MAX_KEPT:
            self._drop_oldest()
        return bool(events) and not is_later

    def _keep(self, event: OpenEvent) -> OpenFile:
        """Raises OSError; the event's descriptor is closed or kept."""
        try:
            file = OpenFile.adopt(event.fd, is_readable=True)
        finally:
            fd, event.fd = event.fd, -1
        if file.key in self._seen_once and time.time_ns() - file.ctime_ns > SETTLED_NS:
            # Its hash is known by now, or it is the image's: the kernel reports it again once it is written to.
            with contextlib.suppress(OSError):
                self._group.ignore(OPEN_EXEC, fd)
        self._seen_once.put(file.key, None)
        key = event.pid, file.size
        self._kept.setdefault(key, []).append(_KeptFile(file))
        self._reached = max(self._reached, self._places.get(key, -1))
        self._count += 1
        return file

    def rest(self) -> None:
        """Release what no exec was reported for; to be called when all execs so far were examined."""
        while self._read(time.time_ns()):
            pass
        limit = time.monotonic() - KEPT_SECONDS
        while self._kept and next(iter(self._kept.values()))[0].since < limit:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, files = self._kept.popitem(last=False)
        self._count -= len(files)
        for each in files:
            each.file.close()

    def close(self) -> None:
        """Release everything."""
        self._group.close()
        os.close(self._table)
        while self._kept:
            self._drop_oldest()


def _inode_number(file: OpenFile) -> int:
    """Return the inode number as the kernel program sees it: overlay may report another one to stat(2)."""
    fd = os.open(f"/proc/self/fdinfo/{file.fd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _, _, rest = os.read(fd, FDINFO_BYTES).partition(b"\nino:")
    finally:
        os.close(fd)
    return int(rest.split(None, 1)[0]) if rest else -1


def _is_remote(layers: Layers, mounts: list[Mount]) -> bool:
    """Return whether any of an overlay's layers is on a filesystem of a server's."""
    return any(_mount_of(directory, mounts).is_remote for directory in {layers.upper, *layers.lowers})


def _mount_of(directory: bytes, mounts: list[Mount]) -> Mount:
    above = (mount for mount in reversed(mounts) if directory.startswith(mount.point.rstrip(b"/") + b"/"))
    return max(above, key=lambda mount: len(mount.point))
