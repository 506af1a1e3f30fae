"""Capture by fanotify, where eBPF is not to be had: files opened to be executed, looked at a moment later.

What it knows less than eBPF, and why: docs/detection.md.
"""

from __future__ import annotations

import collections
import os
import re
import resource
import select
import time
from typing import TYPE_CHECKING, Final

from sensor.capture.base import CaptureUnavailable
from sensor.capture.fanotify.exec_in_progress import Opened, is_deleted, link_of, path_in, record_of
from sensor.capture.fanotify.file_roles import Role, Sequences, Shape, shape_of
from sensor.capture.fanotify.group import Fanotify
from sensor.capture.fanotify.namespaces import Namespaces
from sensor.capture.fanotify.pending_execs import Pending
from sensor.capture.fanotify.process_log import Witness
from sensor.capture.fanotify.procfs import exe_of, facts_of
from sensor.container.identify import Identifier
from sensor.container.mounts import Mount, host_dev, mount_id
from sensor.container.recent import Recent
from sensor.container.runtimes import runtimes_of_node
from sensor.files.handles import OpenFile, file_status
from sensor.files.hashing import Hasher
from sensor.judgement.events import boot_time_ns
from sensor.judgement.examine import Examiner
from sensor.judgement.gather import FactGatherer
from sensor.judgement.image_layers import in_upper
from sensor.record import Flag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.capture.fanotify.group import OpenEvent
    from sensor.capture.fanotify.namespaces import Namespace
    from sensor.capture.fanotify.process_log import Ran
    from sensor.capture.fanotify.procfs import Facts
    from sensor.container.base import Runtime
    from sensor.files.handles import FileStatus
    from sensor.judgement.counters import CaptureCounters
    from sensor.judgement.exec_files import LocatedFile
    from sensor.wire import Container, Event

PATIENCE: Final = 0.25
"""Seconds until an exec that is under way is taken as it is: a new program's arguments are there once it runs."""
RETRY: Final = 0.001
MAX_PENDING: Final = 512
"""Files held open at once."""
MAX_SEEN: Final = 8_192
MAX_IMAGE_FILES: Final = 65_536
WANTED_DESCRIPTORS: Final = 16_384
_LOADER: Final = re.compile(rb"ld[-.6].*|libc\.so.*", re.DOTALL)
"""Names of dynamic loaders, as the kernel program has them."""
_ImageKey = tuple[int, int, int, int, int]


class FanotifyCapture:
    """The `Capture` on fanotify and, where there is one, the process connector. Made by `open_fanotify`."""

    name = "fanotify"

    def __init__(self, runtimes: Sequence[Runtime], gatherer: FactGatherer, node_dev: int) -> None:
        """Raises CaptureUnavailable."""
        self._runtimes = runtimes
        identifier = Identifier(runtimes, node_dev)
        self._examiner = Examiner(identifier, gatherer, boot_time_ns)
        self._group = Fanotify()
        self._poll = select.epoll()
        self._poll.register(self._group, select.EPOLLIN)
        self._news = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll.register(self._news, select.EPOLLIN)
        self._spaces = Namespaces(self._group, node_dev, self._poll.register)
        self._sequences = Sequences()
        self._scripts: dict[int, Opened] = {}
        self._image: Recent[_ImageKey, Shape] = Recent(MAX_IMAGE_FILES)
        self._seen: Recent[tuple[int, tuple[int, int]], None] = Recent(MAX_SEEN)
        self._pending = Pending(self._facts)
        self._adopted: collections.deque[int] = collections.deque()
        self._programs = 0
        self._closed = False
        self._memfd_dev = _memfd_dev()
        self.limits = ""
        """What this node's kernel or namespaces keep from it; "" for nothing."""
        self._witness = self._listen()
        self._spaces.scan()

    def _listen(self) -> Witness | None:
        try:
            witness = Witness(self._spaces, lambda: os.eventfd_write(self._news, 1))
        except CaptureUnavailable as error:
            self.limits = f"{error}; so memfds are not seen, and less is known of processes that end at once"
            return None
        witness.start()
        return witness

    def read(self, timeout: float) -> list[Event]:
        """Drifted execs; [] when `timeout` seconds passed without one. Raises OSError once it is of no use any more."""
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            events = self._turn(max(0.0, left))
            if events or left <= 0:
                return events

    def commit(self) -> None:
        """Nothing: what was read can not be read again, so a kill loses what is not stored yet."""

    def counters(self) -> CaptureCounters:
        """Counts so far."""
        witness = self._witness
        return self._examiner.snapshot(
            witness.execs if witness is not None else self._programs,
            queue=self._group.lost["queue"],
            unreadable=self._group.lost["event"],
            connector=witness.lost if witness is not None else 0,
        )

    def adopt(self, pid: int, container: Container) -> bool:
        """Name the container of a process of this sensor's own."""
        self._examiner.adopt(pid, container)
        self._adopted.append(pid)
        os.eventfd_write(self._news, 1)
        return True

    def detach(self) -> None:
        """End the capture of new execs; those that happened until now can still be read."""
        self._spaces.unmark()
        if self._witness is not None:
            self._witness.stop()

    def close(self, *, keep: bool | None = None) -> None:
        """Let go of everything; nothing can be kept for the next sensor. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self._witness is not None:
            self._witness.close()
        self._pending.close()
        for script in self._scripts.values():
            script.close()
        self._spaces.close()
        self._group.close()
        self._poll.close()
        os.close(self._news)

    def _turn(self, wait: float) -> list[Event]:
        """Wait for news, at most so many seconds; the events that are complete."""
        for fd, _ in self._poll.poll(min(wait, RETRY) if len(self._pending) else wait):
            if fd == self._news:
                os.eventfd_read(fd)
                while self._adopted:
                    self._spaces.learn(self._adopted.popleft())
            else:
                self._spaces.changed(fd)
        if self._witness is not None:
            self._check(self._witness)
        if len(self._pending) < MAX_PENDING:
            events = self._group.read()
            for event in events:
                self._guarded(event)
            # Only once all is read: what fanotify tells too is looked at once.
            for ran in self._witness.ran() if self._witness is not None and not events else ():
                self._take_ran(ran)
        return self._finished()

    def _check(self, witness: Witness) -> None:
        if witness.failed is not None:
            raise witness.failed
        for pid in witness.unknown():
            self._spaces.learn(pid)

    def _guarded(self, event: OpenEvent) -> None:
        try:
            if not self._take(event):
                event.close()
        except OSError:
            # Whatever a container did to its files, the next exec is looked at.
            self._examiner.lose("unreadable")
            event.close()

    def _take(self, event: OpenEvent) -> bool:
        """Look at a file; whether it is kept open for longer."""
        mount = mount_id(event.fd)
        if self._spaces.is_host(mount):
            return False
        status = file_status(event.fd)
        found = self._place(mount, event.pid) or self._left_behind(status.dev, event.pid)
        if found is None:
            return False
        key = mount, status.dev, status.ino, status.ctime_ns, status.size
        shape = self._image.get(key)
        is_image = shape is not None
        shape = shape or shape_of(event.fd)
        role = self._sequences.role(event.pid, shape)
        self._programs += role is Role.PROGRAM
        if role is Role.REFUSED or (is_image and role is Role.LOADER):
            return False
        opened = self._opened(event, *found, status)
        if not is_image and self._is_image(opened):
            self._image.put(key, shape)
            is_image = True
        return self._keep(opened, role, is_image=is_image)

    def _place(self, mount: int, pid: int) -> tuple[Namespace, Mount] | None:
        """Whose mount it is. None for one that is nobody's: overlay's own, by which it opens its layers' files."""
        found = self._spaces.find(mount)
        if found is not None and found[0].retired is None:
            return found
        space = self._spaces.learn(pid)
        if space is not None and self._spaces.find(mount) is None:
            self._spaces.refresh(space)
        return self._spaces.find(mount)

    def _left_behind(self, dev: int, pid: int) -> tuple[Namespace, Mount] | None:
        if exe_of(pid) is not None:
            return None
        found = self._spaces.left_behind(dev, self._container_at)
        if found is None:
            self._examiner.lose("container_gone")
        return found

    def _container_at(self, point: bytes) -> str | None:
        """The id of the container whose root the node has mounted there."""
        return next(filter(None, (runtime.id_at(point) for runtime in self._runtimes)), None)

    def _opened(self, event: OpenEvent, space: Namespace, mount: Mount, status: FileStatus) -> Opened:
        link = link_of(event.fd)
        return Opened(
            file=OpenFile(event.fd, status.size, status.ino, status.dev, status.ctime_ns),
            pid=event.pid,
            time_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            space=space,
            mount=mount,
            path=path_in(space, event.fd, link),
            exe=(status.dev, status.ino),
            link=link,
            size=status.size,
            ctime_ns=status.ctime_ns,
            until=time.monotonic() + PATIENCE,
        )

    def _is_image(self, opened: Opened) -> bool:
        """Whether a file is the image's for certain; says in its flags where the container's layer has it."""
        root = opened.space.root
        if root is None or opened.mount.dev != root.dev or opened.file is None:
            return False
        resolved = self._examiner.resolve(record_of(opened, None, _nobody, bare=True))
        if resolved is None or resolved.layers is None:
            return False
        if not is_deleted(opened.file.fd) and not in_upper(resolved.layers, opened.inner):
            return True
        opened.flags |= Flag.UPPER
        return False

    def _keep(self, opened: Opened, role: Role, *, is_image: bool) -> bool:
        """Hold a suspect until its process can be looked at."""
        if role is Role.SCRIPT:
            return not is_image and self._keep_script(opened)
        opened.script = self._script_of(opened)
        if is_image and _LOADER.fullmatch(opened.path.rsplit(b"/", 1)[-1]):
            opened.flags |= Flag.LOADER
        elif is_image and opened.script is None:
            return False
        opened.is_loader = role is Role.LOADER
        self._seen.put((opened.pid, opened.exe), None)
        self._pending.add(opened)
        return True

    def _keep_script(self, opened: Opened) -> bool:
        """A script waits for its interpreter, which the kernel opens next; the outermost counts."""
        before = self._scripts.get(opened.pid)
        if before is not None and before.until > time.monotonic():
            return False
        if before is not None:
            self._scripts.pop(opened.pid).close()
        if len(self._scripts) >= MAX_PENDING:
            self._scripts.pop(next(iter(self._scripts))).close()
        self._scripts[opened.pid] = opened
        return True

    def _script_of(self, opened: Opened) -> LocatedFile | None:
        script = self._scripts.pop(opened.pid, None)
        if script is None:
            return None
        if script.until < time.monotonic() or script.space is not opened.space:
            script.close()  # of an exec that failed
            return None
        return script.located()

    def _take_ran(self, ran: Ran) -> None:
        """A program that only the connector knows of."""
        try:
            place = ran.facts.pid, ran.facts.exe
            # Noted twice where a process ran something else just before: it was there already when that was told.
            opened = None if place in self._seen else self._opened_by(ran)
            if opened is not None:
                self._seen.put(place, None)
                self._pending.add(opened)
        except OSError:
            self._examiner.lose("unreadable")
        finally:
            os.close(ran.handle)

    def _opened_by(self, ran: Ran) -> Opened | None:
        space = self._spaces.learn(ran.facts.pid)
        if space is None or space.root is None:
            return None
        status = file_status(ran.handle)
        link = link_of(ran.handle)
        path = path_in(space, ran.handle, link)
        is_memfd = status.dev == self._memfd_dev
        found = None if is_memfd else self._place(mount_id(ran.handle), ran.facts.pid)
        # On a mount that is in no table: a detached one, which somebody in the container made.
        mount = found[1] if found is not None else Mount(-1, status.dev, b"/", path, b"", b"")
        return Opened(
            file=None if mount.is_remote else OpenFile.adopt(os.dup(ran.handle)),
            pid=ran.facts.pid,
            time_ns=ran.time_ns,
            space=space,
            mount=mount,
            path=path,
            exe=ran.facts.exe,
            link=link,
            size=status.size,
            ctime_ns=status.ctime_ns,
            until=time.monotonic() + PATIENCE,
            flags=Flag.MEMFD if is_memfd else 0,
        )

    def _finished(self) -> list[Event]:
        """The events of those whose process is known, or given up."""
        events = []
        for opened, facts in self._pending.ready():
            try:
                event = None if opened.is_loader and not opened.is_run_by(facts) else self._look(opened, facts)
            finally:
                opened.close()
            if event is not None:
                events.append(event)
        return events

    def _facts(self, opened: Opened) -> Facts | None:
        """Of the process, from when it ran this file if that was noted; None where it is gone."""
        noted = self._witness.facts(opened.pid, opened.exe) if self._witness is not None else None
        if opened.is_settled_by(noted):
            opened.is_certain = True
            return noted
        now = facts_of(opened.pid)
        if self._witness is None or not opened.is_settled_by(now):
            opened.is_certain = True
        return now

    def _look(self, opened: Opened, facts: Facts | None) -> Event | None:
        parent_of = self._witness.parent_of if self._witness is not None else _nobody
        event = self._examiner.examine(record_of(opened, facts, parent_of), opened.file, opened.script)
        if event is not None and not opened.is_known_by(facts):
            self._examiner.miss("process" if facts is None else "argv")
        return event


def _nobody(_: int) -> None:
    """Nothing is known of processes that are gone."""


def _memfd_dev() -> int:
    """The device that every memfd is on."""
    fd = os.memfd_create("driftwatch")
    try:
        return os.fstat(fd).st_dev
    finally:
        os.close(fd)


def open_fanotify(*, runtimes: Sequence[Runtime] | None = None) -> FanotifyCapture:
    """Start capturing; raises CaptureUnavailable with one clear line where this node can't.

    `runtimes` as for `open_ebpf`. Takes as many descriptors as the process may have.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < WANTED_DESCRIPTORS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, WANTED_DESCRIPTORS), hard))
    node_dev = host_dev()
    return FanotifyCapture(runtimes_of_node() if runtimes is None else runtimes, FactGatherer(Hasher()), node_dev)
