"""Capture by fanotify, where eBPF is not available: files opened to be executed, examined a moment later.

What it knows less than eBPF, and why: docs/detection.md#the-fallback.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import resource
import select
import time
from typing import TYPE_CHECKING, Final

from sensor.capture.errors import CaptureUnavailable
from sensor.capture.fanotify.exec_in_progress import (
    PATIENCE,
    ExecInProgress,
    container_path,
    descriptor_link,
    exec_record,
    is_deleted,
)
from sensor.capture.fanotify.exec_outcomes import ExecOutcomes, unknown_fork
from sensor.capture.fanotify.file_roles import FileRole, FileShape, OpenSequences, file_shape
from sensor.capture.fanotify.group import Fanotify
from sensor.capture.fanotify.namespaces import IN_NO_TABLE, OF_ANOTHER, Namespaces
from sensor.capture.fanotify.pending_execs import RETRY, PendingExecs
from sensor.capture.fanotify.process_log import (
    CoveredExec,
    EndedExec,
    ProcessLog,
    UnmarkedProgram,
    open_program,
)
from sensor.capture.fanotify.procfs import memfd_dev, running_file
from sensor.capture.fanotify.script_lines import script_interpreters
from sensor.capture.fanotify.seen_execs import SeenExecs
from sensor.capture.fanotify.unmarked_programs import opened_unmarked, program_space, space_around
from sensor.capture.fanotify.waiting_scripts import WaitingScripts
from sensor.container.identify import Identifier
from sensor.container.mounts import Mount, host_dev, mount_id, mount_namespace
from sensor.container.recent import Recent
from sensor.container.runtimes import runtimes_of_node
from sensor.files.handles import OpenFile, file_status
from sensor.files.hashing import Hasher
from sensor.judgement.events import boot_time_ns
from sensor.judgement.examine import Examiner
from sensor.judgement.gather import FactGatherer
from sensor.judgement.image_layers import in_upper
from sensor.judgement.loader_arguments import is_loader
from sensor.record import Flag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.capture.fanotify.group import OpenEvent
    from sensor.capture.fanotify.namespaces import Namespace
    from sensor.container.base import Runtime
    from sensor.files.handles import FileStatus
    from sensor.judgement.counters import CaptureCounters
    from sensor.wire import Container, Event

MAX_PENDING: Final = 512
"""Files held open at once."""
MAX_READS: Final = 8
"""At once: in a flood of execs, the execs in progress are looked at in between."""
MAX_IMAGE_FILES: Final = 65_536
WANTED_DESCRIPTORS: Final = 16_384
_ImageKey = tuple[int, int, int, int, int, int]


class FanotifyCapture:
    """The `Capture` on fanotify and, where there is one, the process connector. Made by `open_fanotify`."""

    name = "fanotify"

    def __init__(self, runtimes: Sequence[Runtime], gatherer: FactGatherer, node_dev: int) -> None:
        """Raises CaptureUnavailable."""
        self._runtimes = runtimes
        self._examiner = Examiner(Identifier(runtimes, node_dev), gatherer, boot_time_ns)
        self._group = Fanotify()
        self._poll = select.epoll()
        self._poll.register(self._group, select.EPOLLIN)
        self._news = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll.register(self._news, select.EPOLLIN)
        self._spaces = Namespaces(self._group, node_dev, self._poll.register)
        self._sequences = OpenSequences()
        self._scripts = WaitingScripts(MAX_PENDING, script_interpreters)
        self._image: Recent[_ImageKey, FileShape] = Recent(MAX_IMAGE_FILES)
        self._seen = SeenExecs()
        self._adopted: collections.deque[int] = collections.deque()
        self._covered: list[CoveredExec] = []
        self._ended: list[EndedExec] = []
        self._unmarked: collections.deque[UnmarkedProgram] = collections.deque()
        self._is_behind = False
        self._programs = 0
        self._closed = False
        self._memfd_dev = memfd_dev()
        self.limits = ""
        """What this node's kernel or namespaces keep from it; "" for nothing."""
        self._process_log = self._start_process_log()
        self._outcomes = ExecOutcomes(self._examiner, self._process_log)
        self._pending = PendingExecs(self._outcomes.facts)
        self._spaces.scan()

    def _start_process_log(self) -> ProcessLog | None:
        try:
            process_log = ProcessLog(self._spaces, lambda: os.eventfd_write(self._news, 1))
        except CaptureUnavailable as error:
            self.limits = f"{error}; so memfds are not seen, and less is known of processes that end at once"
            return None
        process_log.start()
        return process_log

    def read(self, timeout: float) -> list[Event]:
        """Drifted execs; [] when `timeout` seconds passed without one. Raises OSError once it can't go on."""
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            events = self._turn(max(0.0, left))
            if events or left <= 0:
                return events

    def commit(self) -> None:
        """Do nothing: events cannot be read twice, so a kill loses those not stored yet."""

    def counters(self) -> CaptureCounters:
        """Counts so far."""
        log, lost = self._process_log, self._group.lost
        execs, connector = (log.execs, log.lost) if log is not None else (self._programs, 0)
        return self._examiner.snapshot(execs, queue=lost["queue"], unreadable=lost["event"], connector=connector)

    def adopt(self, pid: int, container: Container) -> bool:
        """Name the container of a process of this sensor's own."""
        self._examiner.adopt(pid, container)
        self._adopted.append(pid)
        os.eventfd_write(self._news, 1)
        return True

    def detach(self) -> None:
        """End the capture of new execs; those that happened until now can still be read."""
        self._pending.hurry()
        self._scripts.hurry()
        self._spaces.unmark()
        if self._process_log is not None:
            self._process_log.stop()

    def close(self, *, keep: bool | None = None) -> None:
        """Release everything; nothing can be kept for the next sensor. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self._process_log is not None:
            self._process_log.close()
        while self._unmarked:
            os.close(self._unmarked.popleft().handle)
        self._pending.close()
        self._scripts.close()
        self._spaces.close()
        self._group.close()
        self._poll.close()
        os.close(self._news)

    def _turn(self, wait: float) -> list[Event]:
        """Wait up to `wait` seconds; return the events that are complete."""
        for fd, _ in self._poll.poll(min(wait, RETRY if self._is_behind else self._pending.retry_seconds)):
            if fd == self._news:
                os.eventfd_read(fd)
                while self._adopted:
                    self._spaces.trust(self._adopted.popleft())
            else:
                self._spaces.on_readable(fd)
        if self._process_log is not None:
            if self._process_log.failed is not None:
                raise self._process_log.failed
            for pid in self._process_log.unknown():
                self._spaces.learn(pid)
        if len(self._pending) < MAX_PENDING and not self._take_events() and self._process_log is not None:
            self._take_programs(self._process_log)
        self._take_overdue_scripts()
        return self._finished()

    def _take_programs(self, process_log: ProcessLog) -> None:
        """Look at what the connector reported and fanotify did not."""
        # What fanotify reports as well is taken from there, with its open file. It has queued that before the
        # connector reports the exec: so what came since is taken before the programs are looked at.
        self._unmarked.extend(() if self._unmarked else process_log.programs())
        self._covered = self._covered or process_log.covered()
        self._ended = self._ended or process_log.ended()
        self._is_behind = bool(self._covered or self._unmarked or self._ended)  # more may be there, which wakes nobody
        if not self._is_behind or not self._is_drained():
            return
        for covered in self._covered:
            if not self._seen.has(covered.facts):
                self._take_unreported(covered)
        self._outcomes.count_ended(self._ended, self._seen, self._spaces)
        self._covered, self._ended = [], []
        while self._unmarked and len(self._pending) < MAX_PENDING:
            self._take_program(self._unmarked.popleft())

    def _is_drained(self) -> bool:
        """Look at the files that wait; return whether none is left."""
        return any(len(self._pending) < MAX_PENDING and not self._take_events() for _ in range(MAX_READS))

    def _take_unreported(self, covered: CoveredExec) -> None:
        """Take a program on a mount that has the id of one that was watched, while its process lives."""
        facts, where = covered
        now_ns, handle = time.clock_gettime_ns(time.CLOCK_BOOTTIME), open_program(facts.pid, facts.exe)
        if handle is None:
            self._ended.append(EndedExec(facts.pid, facts.start_ns, facts.parent, where, facts))
        elif self._spaces.is_host(mount_id(handle)):
            os.close(handle)
        else:
            self._unmarked.append(UnmarkedProgram(facts, handle, now_ns, where))

    def _take_events(self) -> int:
        """Look at the files that wait, as many as one read returns; return their number."""
        events = self._group.read()
        for event in events:
            self._take_event(event)
        return len(events)

    def _take_event(self, event: OpenEvent) -> None:
        try:
            if not self._is_kept(event):
                event.close()
        except OSError:
            # Whatever a container did to its files, the next exec is examined.
            self._examiner.lose("unreadable")
            # Counted once: the process connector reports the same exec.
            self._seen.note_process(event.pid)
            event.close()

    def _is_kept(self, event: OpenEvent) -> bool:
        """Look at a file; whether it is held for longer."""
        mount = mount_id(event.fd)
        if self._spaces.is_host(mount):
            self._seen.note_process(event.pid)
            return False
        status = file_status(event.fd)
        exe = status.dev, status.ino
        found = self._find(event.pid, mount, exe)
        if found is None:
            return False
        self._seen.note(event.pid, exe)
        found = self._seen_by(event.pid, *found)
        key = found[0].number, mount, status.dev, status.ino, status.ctime_ns, status.size
        shape = self._image.get(key)
        is_image = shape is not None
        shape = shape or file_shape(event.fd)
        role = self._sequences.role(event.pid, shape)
        self._programs += role is FileRole.PROGRAM
        if role is FileRole.REJECTED or (is_image and role is FileRole.LOADER):
            return False
        opened = self._opened(event, *found, status)
        if not is_image and self._is_image(opened):
            self._image.put(key, shape)
            is_image = True
        return self._hold(opened, role, is_image=is_image)

    def _seen_by(self, pid: int, space: Namespace, mount: Mount) -> tuple[Namespace, Mount]:
        """Return the namespace of the process itself: it may run a file of another container, through /proc for one."""
        own = self._spaces.learn(pid)
        if own is None or own is space or own.root is None:
            return space, mount
        return own, dataclasses.replace(mount, id=OF_ANOTHER)

    def _find(self, pid: int, mount: int, exe: tuple[int, int]) -> tuple[Namespace, Mount] | None:
        """Return the mount by which a process opened a file, or the root of a container that was gone before."""
        found, dev = self._spaces.find_for(pid, mount), exe[0]
        # Where the process is gone the tables may be those of an earlier mount with the same id.
        is_known = found is not None and (found[1].dev == dev or not self._spaces.is_root(dev))
        if is_known or running_file(pid) is not None:
            return found
        left = self._spaces.left_behind(dev, self._mounted_container_id)
        if left is None:
            self._examiner.lose("container_gone")
            self._seen.note(pid, exe)
        return (left[0], dataclasses.replace(left[1], id=IN_NO_TABLE)) if left is not None else None

    def _mounted_container_id(self, point: bytes) -> str | None:
        """Return the id of the container whose root the node has mounted there."""
        return next(filter(None, (runtime.mounted_container_id(point) for runtime in self._runtimes)), None)

    def _opened(self, event: OpenEvent, space: Namespace, mount: Mount, status: FileStatus) -> ExecInProgress:
        link = descriptor_link(event.fd)
        return ExecInProgress(
            file=OpenFile(event.fd, status.size, status.ino, status.dev, status.ctime_ns),
            pid=event.pid,
            time_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            space=space,
            mount=mount,
            path=container_path(space, event.fd, link),
            exe=(status.dev, status.ino),
            link=link,
            size=status.size,
            ctime_ns=status.ctime_ns,
            until=time.monotonic() + PATIENCE,
        )

    def _is_image(self, opened: ExecInProgress) -> bool:
        """Whether a file is the image's for certain; else notes in its flags that the container's layer has it."""
        root = opened.space.root
        if root is None or opened.mount.dev != root.dev or opened.file is None:
            return False
        if opened.mount.id == IN_NO_TABLE:
            # Its path is that below its mount, which may show any directory: the content decides.
            opened.flags |= Flag.UPPER
            return False
        resolved = self._examiner.resolve(exec_record(opened, None, unknown_fork, bare=True))
        # A mount namespace may have another root than its container, such as an overlay that was made inside.
        if resolved is None or resolved.layers is None or opened.mount.dev != resolved.root_dev:
            return False
        if not is_deleted(opened.file.fd) and not in_upper(resolved.layers, opened.inner):
            return True
        opened.flags |= Flag.UPPER
        return False

    def _hold(self, opened: ExecInProgress, role: FileRole, *, is_image: bool) -> bool:
        """Hold a suspect until its process can be looked at."""
        if role is FileRole.SCRIPT:
            return not is_image and self._scripts.keep(opened)
        if role is FileRole.LOADER and (is_image or self._pending.add_interpreter(opened)):
            return not is_image
        # Also a loader of no program that is known: what the process opened before may be of an exec that failed.
        opened.scripts = self._scripts.take(opened)
        if is_loader(opened.path):
            opened.flags |= Flag.LOADER
        elif is_image and not opened.scripts:
            self._pending.expect_interpreter(opened)
            return False
        self._pending.add(opened)
        return True

    def _take_program(self, program: UnmarkedProgram) -> None:
        """Hold a program that only the connector reported."""
        try:
            # Both report it for a moment after its mount was marked. With the node's root it is a service's, or ran
            # before the runtime had switched to the container's root, as a hook does.
            if self._seen.has(program.facts) or program.where.is_nodes:
                return
            space = program_space(program, self._spaces, self._memfd_dev)
            if space is None:
                self._outcomes.count_gone(program.where, space_around(program, self._spaces))
                return
            opened = opened_unmarked(program, space, self._spaces, self._memfd_dev)
            if not self._hold(opened, FileRole.PROGRAM, is_image=self._is_image(opened)):
                opened.close()
        except OSError:
            self._examiner.lose("unreadable")
        finally:
            os.close(program.handle)

    def _take_overdue_scripts(self) -> None:
        """Hold the execs of scripts whose interpreter was reported late, or for an earlier exec alone."""
        for each in self._scripts.overdue():
            overdue = each.as_exec()
            if overdue is not None:
                self._pending.add(overdue)
                continue
            if each.is_lost:
                space = each.scripts[-1].space
                self._examiner.lose("unreadable" if mount_namespace(space.pid) == space.inum else "container_gone")
            each.close()

    def _finished(self) -> list[Event]:
        """Return the events of execs whose process is known, or had its time."""
        events: list[Event] = []
        for opened, facts in self._pending.ready():
            try:
                events += self._outcomes.events(opened, facts)
            finally:
                opened.close()
        return events


def open_fanotify(*, runtimes: Sequence[Runtime] | None = None) -> FanotifyCapture:
    """Start capturing; raises CaptureUnavailable with one clear line where this node can't.

    `runtimes` as for `open_ebpf`. Raises the limit of open descriptors as far as the process may.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < WANTED_DESCRIPTORS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, WANTED_DESCRIPTORS), hard))
    node_dev = host_dev()
    return FanotifyCapture(runtimes_of_node() if runtimes is None else runtimes, FactGatherer(Hasher()), node_dev)
