"""Holds execs in containers until it is known whether they are to be stopped; then the kernel program stops them.

A process of its own, which nothing else keeps busy: `python -m sensor.blocking.hold_server`, started by `guard.py`. It
never executes anything, marks the filesystems of containers alone, and answers every exec within a second. Its end,
however it comes, closes the descriptor, and all that it holds goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import mmap
import os
import queue
import resource
import select
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.blocking.block_plan import ClusterLocation
from sensor.blocking.exec_check import ExecChecker, HeldContainer, ImageIndexes, OpenedFile, PolicyAtLocation
from sensor.blocking.hold_messages import (
    ExpectContainer,
    FollowPolicy,
    ForgetContainer,
    HoldMessage,
    WatchContainer,
    decoder,
)
from sensor.blocking.inspectors import Inspectors
from sensor.blocking.unidentified_execs import OverdueContainer, UnidentifiedExecs
from sensor.blocking.watchdog import CANNOT_HOLD, die_with
from sensor.capture.base import CaptureUnavailable
from sensor.capture.block_tables import UNTOLD_SCRIPT, BlockTableDescriptors, BlockTables, ExecMark
from sensor.capture.fanotify.group import OPEN_EXEC_PERM, Fanotify, OpenEvent, Scope
from sensor.capture.fanotify.procfs import path_of, stat_of
from sensor.capture.libbpf import Libbpf
from sensor.container.mounts import HOST_INIT, inner_path, read_mounts
from sensor.container.overlay import Layers
from sensor.files.handles import OpenFile, open_directory
from sensor.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.container.mounts import Mount

BEAT_SECONDS: Final = 0.05
HOLD_SECONDS: Final = 1.0
"""The longest that an exec waits."""
MAX_WAITING: Final = 3_000
"""Execs that are held at once, each with two open files."""
MAX_KNOWN: Final = 65_536
MIN_DESCRIPTORS: Final = 8_192
"""Enough for 4,000 execs that wait at once; what Linux distributions let a service have is far above."""
READ_BYTES: Final = 1024 * 1024
_Key = tuple[int, int, int, int]

log = logging.getLogger(__name__)


class HeldExec:
    """An exec that is held; its file is opened once more for the look, as the answer closes the kernel's.

    `kernel_ino` is the inode's number as the kernel program sees it: overlay may show another to stat(2).
    """

    def __init__(self, event: OpenEvent, facts: os.stat_result) -> None:
        self.event = event
        self.file = OpenFile(os.dup(event.fd), facts.st_size, facts.st_ino, facts.st_dev, facts.st_ctime_ns)
        told = _fdinfo(event.fd)
        self.mounted_by, self.kernel_ino = told.get("mnt_id", -1), told.get("ino", facts.st_ino)
        self.since = time.monotonic()


class WatchedContainer:
    """A container whose execs are held; one look at a time, as a look uses its memory of contents."""

    def __init__(self, held: HeldContainer, decider: ExecChecker) -> None:
        self.held, self.decider = held, decider
        self.lock = threading.Lock()


class HoldServer:
    """One thread reads, answers what is known, and keeps the time; one obeys the sensor; a few look at files."""

    def __init__(self, group: Fanotify, tables: BlockTables, orders: socket.socket, beat: mmap.mmap) -> None:
        self._group, self._tables, self._orders, self._beat = group, tables, orders, beat
        self._law: PolicyAtLocation | None = None
        self._indexes = ImageIndexes()
        self._boxes: dict[int, WatchedContainer] = {}
        self._image: dict[_Key, None] = {}
        self._waiting: dict[int, HeldExec] = {}
        self._lock = threading.Lock()
        self._messages: queue.Queue[HoldMessage | OverdueContainer] = queue.Queue()
        self._looks = Inspectors(self._look, HOLD_SECONDS)
        self._expected: UnidentifiedExecs[HeldExec] = UnidentifiedExecs()
        self._unread = b""

    def run(self) -> None:
        """Until the sensor closes its end of the socket."""
        self.start()
        poll = select.poll()
        poll.register(self._group, select.POLLIN)
        poll.register(self._orders, select.POLLIN)
        while True:
            self._beat[:8] = time.monotonic_ns().to_bytes(8, "little")
            ready = {fd for fd, _ in poll.poll(BEAT_SECONDS * 1_000)}
            if self._orders.fileno() in ready and not self._hear():
                return
            if self._group.fileno() in ready:
                for event in self._group.read():
                    self._take(event)
            self._keep_time()

    def start(self) -> None:
        """Begin to obey, and to look at what is taken."""
        threading.Thread(target=self._work, name="orders", daemon=True).start()
        self._looks.start()

    def _hear(self) -> bool:
        data = self._orders.recv(READ_BYTES)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            self._messages.put(decoder.decode(line))
        return bool(data)

    def _take(self, event: OpenEvent) -> None:
        """Answer at once where that can be; a frozen or dead sensor holds nothing up."""
        facts = os.fstat(event.fd)
        key = facts.st_dev, facts.st_ino, facts.st_ctime_ns, facts.st_size
        if key in self._image or self._tables.seconds_left() <= 0:
            self._group.allow(event)
            return
        waiting = HeldExec(event, facts)
        with self._lock:
            is_one_too_many = len(self._waiting) >= MAX_WAITING
            self._waiting[id(waiting)] = waiting
        if is_one_too_many:
            self._let_go(waiting)
        elif not self._expected or not self._expected.park(_device_of(waiting), waiting):
            self._offer(waiting)

    def _offer(self, waiting: HeldExec) -> None:
        # By its own device a container is told from others, as long as its layers lie on one filesystem.
        if not self._looks.offer(waiting.file.dev, waiting):
            self._let_go(waiting)

    def _let_go(self, waiting: HeldExec) -> None:
        """Without a look."""
        self._answer(waiting, ExecMark.LATE)
        waiting.file.close()

    def _keep_time(self) -> None:
        """Let go what has waited for too long."""
        now = time.monotonic()
        with self._lock:
            late = [waiting for waiting in self._waiting.values() if now - waiting.since > HOLD_SECONDS]
        for waiting in late:
            self._answer(waiting, ExecMark.LATE)
            if self._expected.withdraw(waiting) or self._looks.withdraw(waiting.file.dev, waiting):
                waiting.file.close()
        for overdue in self._expected.overdue():
            self._messages.put(overdue)
        if not self._looks.keep_time():
            # Before the end: a thread that no signal reaches would keep the descriptor, and all execs with it.
            self._group.close()
            os._exit(3)

    def _answer(self, waiting: HeldExec, what: ExecMark | None) -> None:
        """Let an exec go on, to the kernel program that was told what to do with it; once."""
        with self._lock:
            if self._waiting.pop(id(waiting), None) is None:
                return
        try:
            if what is not None:
                self._tables.mark(waiting.event.pid, waiting.kernel_ino, what)
        except CaptureUnavailable as error:
            log.warning("The kernel could not be told what becomes of an exec: %s", error)
        finally:
            self._group.allow(waiting.event)

    def _work(self) -> None:
        while True:
            message = self._messages.get()
            try:
                self._obey(message)
            except Exception:  # what is told next may be obeyed again
                log.exception("An order could not be obeyed")
            finally:
                self._messages.task_done()

    def _obey(self, message: HoldMessage | OverdueContainer) -> None:
        if isinstance(message, FollowPolicy):
            place = ClusterLocation(message.provider, message.account, message.cluster_name)
            self._law = PolicyAtLocation(Policy(message.document), frozenset(message.document["detect"]), place)
        elif isinstance(message, ExpectContainer):
            self._expect(message)
        elif isinstance(message, WatchContainer):
            self._watch(message)
            self._settle(message.dev)
        elif isinstance(message, ForgetContainer) or message.dev in self._expected:
            self._boxes.pop(message.dev, None)
            self._settle(message.dev)
            self._unmark(message)

    def _expect(self, message: ExpectContainer) -> None:
        with contextlib.suppress(FileNotFoundError), _root_of(message) as root:
            self._expected.expect(message.dev, message.point)
            self._group.mark(OPEN_EXEC_PERM, Scope.FILESYSTEM, fd=root)

    def _settle(self, dev: int) -> None:
        """Look at what was kept of a container; without one it goes on."""
        for waiting in self._expected.settled(dev):
            self._offer(waiting)

    def _unmark(self, message: ForgetContainer | OverdueContainer) -> None:
        with contextlib.suppress(FileNotFoundError), _root_of(message) as root:
            self._group.unmark(OPEN_EXEC_PERM, Scope.FILESYSTEM, fd=root)

    def _watch(self, message: WatchContainer) -> None:
        """What was known of the container serves until then: no exec of it goes on unseen meanwhile."""
        known = self._boxes.get(message.dev)
        held = HeldContainer(Layers(tuple(message.lowers), message.upper), message.container, message.kinds)
        is_same = known is not None and known.held.layers == held.layers
        try:
            with _root_of(message) as root:
                self._boxes[message.dev] = WatchedContainer(
                    held, known.decider if known and is_same else ExecChecker(self._indexes)
                )
                self._group.mark(OPEN_EXEC_PERM, Scope.FILESYSTEM, fd=root)
        except FileNotFoundError:
            self._boxes.pop(message.dev, None)

    def _look(self, waiting: HeldExec) -> None:
        """Find out about one exec, and answer it, whatever happens."""
        what: ExecMark | None = None
        try:
            what = self._verdict(waiting)
        except OSError as error:
            log.info("A held exec could not be looked at: %s", error)
        except Exception:  # the exec goes on; the next one is looked at
            log.exception("A look at a held exec failed")
        finally:
            self._answer(waiting, what)
            waiting.file.close()

    def _verdict(self, waiting: HeldExec) -> ExecMark | None:
        thread, file = waiting.event.pid, waiting.file
        mount = _mount_of(waiting)
        box = self._boxes.get(mount.dev if mount is not None else file.dev)
        if box is None or id(waiting) not in self._waiting:
            return None
        path = os.readlink(f"/proc/self/fd/{file.fd}".encode())  # noqa: PTH115 - bytes
        if os.fstat(file.fd).st_nlink == 0:
            path = path.removesuffix(b" (deleted)")
        opened = OpenedFile(file, path, inner_path(mount, path) if mount is not None else path, _parent_of(thread))
        with box.lock:
            what = self._decide(box, opened)
        self._say(waiting, what, is_script=opened.is_script)
        return what

    def _decide(self, box: WatchedContainer, opened: OpenedFile) -> ExecMark | None:
        if box.decider.is_image_s_own(box.held, opened):
            self._remember(opened.file, lasting=not opened.is_script)
            return None
        return box.decider.verdict(self._law, box.held, opened) if self._law is not None else None

    def _say(self, waiting: HeldExec, what: ExecMark | None, *, is_script: bool) -> None:
        """Besides the answer. What was found of an earlier exec, that failed, is not said of this one."""
        if what is None:
            self._tables.unmark(waiting.event.pid, waiting.kernel_ino)
        elif what is ExecMark.KILL and is_script:
            # Not taken back by a later script of the thread: that may be this one's interpreter.
            self._tables.mark(waiting.event.pid, UNTOLD_SCRIPT, what)

    def _remember(self, file: OpenFile, *, lasting: bool) -> None:
        """Ask no more about a file of the image; nor does the kernel, but for scripts, until it is written to."""
        if not lasting:
            return
        if len(self._image) >= MAX_KNOWN:
            self._image.clear()
        self._image[file.key] = None
        with contextlib.suppress(OSError):
            self._group.ignore(OPEN_EXEC_PERM, file.fd)


@contextlib.contextmanager
def _root_of(message: WatchContainer | ExpectContainer | ForgetContainer | OverdueContainer) -> Iterator[int]:
    """The container's root, as it is mounted here, else by the host's own mounts; FileNotFoundError once it is not.

    It is looked at as it was opened: where a container has just ended, the same path leads to the folder below,
    whose filesystem is the node's, and a mark there would hold the execs of the node itself.
    """
    with contextlib.ExitStack() as opened:
        for point in (message.point, f"/proc/{HOST_INIT}/root".encode() + message.point):
            with contextlib.suppress(OSError):
                root = opened.enter_context(open_directory(point))
                if os.fstat(root).st_dev == message.dev:
                    break
        else:
            raise FileNotFoundError(errno.ENOENT, "not mounted any more", message.point)
        yield root


def _mount_of(waiting: HeldExec) -> Mount | None:
    """By which its file is reached; in a chroot a process is not shown what lies outside, though it has it open."""
    return next((mount for mount in read_mounts(waiting.event.pid) if mount.id == waiting.mounted_by), None)


def _device_of(waiting: HeldExec) -> int:
    """Of the filesystem that is mounted there: overlay's own files may show the device of a layer."""
    mount = _mount_of(waiting)
    return mount.dev if mount is not None else waiting.file.dev


def _fdinfo(fd: int) -> dict[str, int]:
    """What the kernel tells of an open file in numbers (proc(5)); `ino` since Linux 5.14."""
    lines = Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines()
    told = dict(line.split(":", 1) for line in lines if line.startswith(("mnt_id:", "ino:")))
    return {name: int(value) for name, value in told.items()}


def _parent_of(thread: int) -> bytes:
    """File name of what the parent of a process runs, its short name where that is gone."""
    try:
        _, parent, _ = stat_of(thread)
        return path_of(parent).rpartition(b"/")[2] or stat_of(parent)[0]
    except (OSError, ValueError, IndexError):
        return b""


def _can_open_enough() -> bool:
    """Each exec that waits is two open files; the kernel refuses the exec itself where it can't open one more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard == resource.RLIM_INFINITY or hard >= MIN_DESCRIPTORS


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sensor.blocking.hold_server")
    for name in ("--parent", "--beat", "--orders", "--marks", "--guard"):
        parser.add_argument(name, type=int, required=True)
    return parser.parse_args()


def main() -> int:
    """What `guard.py` starts; CANNOT_HOLD where execs can't be held here."""
    arguments = _arguments()
    die_with(arguments.parent)
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    if not _can_open_enough():
        log.warning("Execs can't be held: that needs a hard limit of %d open files (RLIMIT_NOFILE)", MIN_DESCRIPTORS)
        return CANNOT_HOLD
    beat = mmap.mmap(arguments.beat, mmap.PAGESIZE)
    tables = BlockTables(Libbpf(), BlockTableDescriptors(-1, -1, arguments.marks, arguments.guard))
    try:
        group = Fanotify(permission=True, report_tid=True)
    except CaptureUnavailable as error:
        log.warning("Execs can't be held: %s", error)
        return CANNOT_HOLD
    with group, socket.socket(fileno=arguments.orders) as orders:
        HoldServer(group, tables, orders, beat).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
