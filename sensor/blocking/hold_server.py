"""Holds execs in containers until they are checked; the kernel program then kills those that were marked.

Runs in a process of its own (`hold_process.py`), so that nothing else delays it. It never executes anything, marks only
containers' filesystems, and answers every exec within a second. However it ends, its fanotify descriptor is closed
then, and the kernel lets everything that it held run.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import mmap
import os
import queue
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Final

from sensor.blocking.block_plan import MAPPED, ClusterLocation
from sensor.blocking.exec_check import (
    RUNS,
    ExecChecker,
    Finding,
    HeldContainer,
    HoldPolicy,
    ImageIndexes,
    OpenedFile,
    may_block_replaced,
)
from sensor.blocking.held_exec import HeldExec
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
from sensor.capture.block_tables import ANY_SCRIPT_INO, BlockTables, ExecMark, ExecMarks
from sensor.capture.errors import CaptureUnavailable
from sensor.capture.fanotify.group import CLOSE_WRITE, OPEN_EXEC_PERM, Fanotify, OpenEvent, Scope
from sensor.container.mounts import NODE_ROOTS, inner_path
from sensor.container.overlay import Layers
from sensor.files.handles import OpenFile, open_directory
from sensor.operations.log_filter import RateLimitedLogFilter
from sensor.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.file_state import FileState

BEAT_SECONDS: Final = 0.05
HOLD_SECONDS: Final = 1.0
"""The longest that an exec waits."""
MAX_HELD: Final = 3_000
"""Execs held at once, each with two open files."""
MAX_TAKEN: Final = 64
"""Execs that are taken at once: between two lots those that have waited for long are answered."""
MAX_IMAGE_FILES: Final = 65_536
"""Unchanged files of images that are remembered, so that their next exec is answered at once."""
READ_BYTES: Final = 1024 * 1024
_FileKey = tuple[int, int, int, int]

log = logging.getLogger(__name__)
log.addFilter(RateLimitedLogFilter())


class WatchedContainer:
    """A container whose execs are held. Its checker's cache is not thread-safe, so one exec is checked at a time."""

    def __init__(self, held: HeldContainer, checker: ExecChecker) -> None:
        self.held, self.checker = held, checker
        self.lock = threading.Lock()


class HoldServer:
    """One thread reads execs, answers those it knows and keeps the deadline; one handles messages; inspectors check."""

    def __init__(self, group: Fanotify, tables: BlockTables, messages: socket.socket, beat: mmap.mmap) -> None:
        self._group, self._tables, self._socket, self._beat = group, tables, messages, beat
        self._policy: HoldPolicy | None = None
        self._indexes, self._records = ImageIndexes(), tables.write_records()
        self._watched: dict[int, WatchedContainer] = {}
        self._image_files: dict[_FileKey, None] = {}
        self._held: dict[int, HeldExec] = {}
        self._lock = threading.Lock()
        self._messages: queue.Queue[HoldMessage | OverdueContainer] = queue.Queue()
        self._inspectors = Inspectors(self._inspect, HOLD_SECONDS)
        self._unidentified: UnidentifiedExecs[HeldExec] = UnidentifiedExecs()
        self._partial_line = b""

    def run(self) -> None:
        """Work until the sensor closes its end of the socket."""
        self.start()
        poll = select.poll()
        poll.register(self._group, select.POLLIN)
        poll.register(self._socket, select.POLLIN)
        while True:
            self._show_life()
            ready = {fd for fd, _ in poll.poll(BEAT_SECONDS * 1_000)}
            if self._socket.fileno() in ready and not self._read_messages():
                return
            if self._group.fileno() in ready:
                for event in self._group.read(MAX_TAKEN):
                    self._take(event)
            self._keep_deadlines()

    def _show_life(self) -> None:
        """Tell the watchdog that this thread goes on, also between the answers to many execs."""
        self._beat[:8] = time.monotonic_ns().to_bytes(8, "little")

    def start(self) -> None:
        """Start the threads that handle messages and inspect execs."""
        threading.Thread(target=self._handle_messages, name="messages", daemon=True).start()
        self._inspectors.start()

    def _read_messages(self) -> bool:
        data = self._socket.recv(READ_BYTES)
        *lines, self._partial_line = (self._partial_line + data).split(b"\n")
        for line in lines:
            self._messages.put(decoder.decode(line))
        return bool(data)

    def _take(self, event: OpenEvent) -> None:
        """Answer an exec at once where possible, else hold it for a check."""
        self._show_life()
        if not event.is_held:
            self._look_again(event.fd)
            event.close()
            return
        status = os.fstat(event.fd)
        key = status.st_dev, status.st_ino, status.st_ctime_ns, status.st_size
        # Without a lease the sensor is frozen or dead: nothing is blocked, so nothing is held.
        if key in self._image_files or self._tables.seconds_left() <= 0:
            self._group.allow(event)
            return
        held = HeldExec(event, status)
        with self._lock:
            is_one_too_many = len(self._held) >= MAX_HELD
            self._held[id(held)] = held
        if is_one_too_many:
            self._run_unchecked(held)
        elif not self._unidentified or not self._unidentified.hold(held.device(), held):
            self._offer(held)

    def _offer(self, held: HeldExec) -> None:
        # Fairness is by the file's own device: that of one container, while its layers lie on one filesystem.
        if not self._inspectors.offer(held.file.dev, held):
            self._run_unchecked(held)

    def _run_unchecked(self, held: HeldExec) -> None:
        self._answer(held, self._unchecked_marks(held))
        held.file.close()

    def _unchecked_marks(self, held: HeldExec) -> ExecMarks:
        """Return the marks for an exec that there is no time to check: it runs, but for one past the kill limit.

        In this thread, as all others may be busy: that is what an attacker would see to.
        """
        # Most containers are not past it, and then nothing is looked up here.
        if any(watched.held.denies_new for watched in list(self._watched.values())):
            with contextlib.suppress(OSError):
                found = self._found(held)
                if found is not None:
                    marks = self._denied(*found)
                    self._mark_script(held, marks, is_script=found[1].is_script)
                    return marks
        return ExecMarks.always(ExecMark.LATE)

    def _denied(self, watched: WatchedContainer, opened: OpenedFile) -> ExecMarks:
        """Return KILL for what could not be checked and is stopped all the same: a new file, past the kill limit."""
        if self._policy is None or not watched.held.denies_new:
            return ExecMarks.always(ExecMark.LATE)
        return watched.checker.unchecked_marks(self._policy, watched.held, opened)

    def _keep_deadlines(self) -> None:
        """Let execs run that have waited for too long; replace inspectors that hang."""
        now = time.monotonic()
        with self._lock:
            late = [held for held in self._held.values() if now - held.since > HOLD_SECONDS]
        for held in late:
            self._show_life()
            self._answer(held, self._unchecked_marks(held))
            # Only if no inspector has it: that one still reads the file, and closes it.
            if self._unidentified.withdraw(held) or self._inspectors.withdraw(held.file.dev, held):
                held.file.close()
        for overdue in self._unidentified.overdue():
            self._messages.put(overdue)
        if not self._inspectors.replace_slow():
            # Explicitly, before the exit: a thread that hangs in the kernel, where no signal reaches it, would keep
            # the descriptor open, and with it every held exec waiting.
            self._group.close()
            os._exit(3)

    def _answer(self, held: HeldExec, marks: ExecMarks, data: FileState | None = None) -> None:
        """Let an exec go on, once, after the kernel program has its marks."""
        with self._lock:
            if self._held.pop(id(held), None) is None:
                return
        answer = self._group.allow
        try:
            if marks.all != {None}:
                self._tables.mark(held.event.pid, held.kernel_ino, marks, data)
        except CaptureUnavailable as error:
            log.warning("An exec could not be marked for the kernel program: %s", error)
            if marks.all == {ExecMark.KILL}:
                answer = self._group.deny
        finally:
            answer(held.event)

    def _handle_messages(self) -> None:
        while True:
            message = self._messages.get()
            try:
                self._handle(message)
            except Exception:  # later messages do not depend on this one
                log.exception("A message could not be handled")
            finally:
                self._messages.task_done()

    def _handle(self, message: HoldMessage | OverdueContainer) -> None:
        if isinstance(message, FollowPolicy):
            location = ClusterLocation(message.provider, message.account, message.cluster_name)
            self._policy = HoldPolicy(Policy(message.document), frozenset(message.document["detect"]), location)
            # What is ignored depends on the policy.
            self._image_files.clear()
            self._group.flush(Scope.INODE)
        elif isinstance(message, ExpectContainer):
            with contextlib.suppress(FileNotFoundError), _root(message) as root:
                self._unidentified.expect(message.dev, message.point)
                self._group.mark(OPEN_EXEC_PERM, Scope.FILESYSTEM, fd=root)
        elif isinstance(message, WatchContainer):
            self._watch(message)
            self._release(message.dev)
        elif isinstance(message, ForgetContainer) or message.dev in self._unidentified:
            self._watched.pop(message.dev, None)
            self._release(message.dev)
            with contextlib.suppress(FileNotFoundError), _root(message) as root:
                self._group.unmark(OPEN_EXEC_PERM, Scope.FILESYSTEM, fd=root)

    def _release(self, dev: int) -> None:
        """Check the execs that were held for identification; those of a container that is not watched run."""
        for held in self._unidentified.release(dev):
            self._offer(held)

    def _watch(self, message: WatchContainer) -> None:
        # What is known of the container stays until it is replaced: in between no exec of it may run unchecked.
        known = self._watched.get(message.dev)
        layers = Layers(tuple(message.lowers), message.upper)
        held = HeldContainer(layers, message.container, message.kinds, message.denies_new, message.role)
        has_same_layers = known is not None and known.held.layers == held.layers
        checker = known.checker if known is not None and has_same_layers else ExecChecker(self._indexes, self._records)
        try:
            with _root(message) as root:
                self._watched[message.dev] = WatchedContainer(held, checker)
                self._group.mark(OPEN_EXEC_PERM, Scope.FILESYSTEM, fd=root)
        except FileNotFoundError:
            self._watched.pop(message.dev, None)

    def _inspect(self, held: HeldExec) -> None:
        """Check one exec and answer it, whatever happens."""
        found = RUNS
        try:
            found = self._checked(held)
        except OSError as error:
            log.info("A held exec could not be checked: %s", error)
        except Exception:  # the exec runs, and the next one is checked
            log.exception("The check of a held exec failed")
        finally:
            self._answer(held, *found)
            held.file.close()

    def _checked(self, held: HeldExec) -> Finding:
        """Return what to do with an exec."""
        file = self._found(held)
        if file is None or id(held) not in self._held:
            return RUNS
        watched, opened = file
        is_script = opened.is_script
        with watched.lock:
            found = self._finding(watched, opened, is_script=is_script)
        if ExecMark.LATE in found.marks.all:
            found = found._replace(marks=found.marks.with_denied(self._denied(watched, opened)))
        if found.marks.all == {None}:
            # An earlier exec of this file by the thread may have failed and left its mark.
            self._tables.unmark(held.event.pid, held.kernel_ino)
        self._mark_script(held, found.marks, is_script=is_script)
        return found

    def _found(self, held: HeldExec) -> tuple[WatchedContainer, OpenedFile] | None:
        """Return the container of an exec, and its file as the container has it; None where it is not watched."""
        mount = held.mount()
        watched = self._watched.get(mount.dev if mount is not None else held.file.dev)
        if watched is None:
            return None
        path = held.path()
        inner = inner_path(mount, path) if mount is not None else path
        return watched, OpenedFile(held.file, path, inner, held.parent_name())

    def _mark_script(self, held: HeldExec, marks: ExecMarks, *, is_script: bool) -> None:
        """Mark a script that is to be stopped by its thread too: at the tracepoint only the interpreter is known.

        A later script of the thread does not remove this mark: that script may be this one's interpreter.
        """
        if is_script and ExecMark.KILL in marks.sure_kills.all:
            self._tables.mark(held.event.pid, ANY_SCRIPT_INO, marks.sure_kills)

    def _finding(self, watched: WatchedContainer, opened: OpenedFile, *, is_script: bool) -> Finding:
        if watched.checker.is_image_file(watched.held, opened):
            if not is_script:
                self._remember(watched.held, opened.file)
            return RUNS
        return watched.checker.check(self._policy, watched.held, opened) if self._policy is not None else RUNS

    def _remember(self, held: HeldContainer, file: OpenFile) -> None:
        """Stop checking a file of the image; the kernel reports it again only after a write."""
        if len(self._image_files) >= MAX_IMAGE_FILES:
            self._image_files.clear()
        self._image_files[file.key] = None
        # It is not told of writes through a mapping. Where the kernel program does not stop such a file by itself, each
        # exec of it goes on being held, and is answered at once.
        stops_mapped = all(kinds & MAPPED for kinds in held.kinds)
        if self._policy is not None and (stops_mapped or not may_block_replaced(self._policy, held)):
            with contextlib.suppress(OSError):
                self._group.ignore(OPEN_EXEC_PERM, file.fd)
                # The kernel program knows of a mapping only as long as its record does.
                self._group.watch_while_ignored(CLOSE_WRITE, file.fd)
                status = os.fstat(file.fd)
                if (status.st_ctime_ns, status.st_size) != (file.ctime_ns, file.size):
                    self._look_again(file.fd)  # it was written to between its check and now

    def _look_again(self, fd: int) -> None:
        """Check the next exec of a file again."""
        with contextlib.suppress(OSError):
            self._group.stop_ignoring(OPEN_EXEC_PERM, fd)


@contextlib.contextmanager
def _root(message: WatchContainer | ExpectContainer | ForgetContainer | OverdueContainer) -> Iterator[int]:
    """Open a container's root, as it is mounted here or else on the host. Raises FileNotFoundError once it is not.

    The device is checked on what was opened: where the container has just ended, the same path leads to the directory
    below, on the node's own filesystem, and a mark there would hold the execs of the node itself.
    """
    with contextlib.ExitStack() as opened:
        for prefix in NODE_ROOTS:
            with contextlib.suppress(OSError):
                root = opened.enter_context(open_directory(prefix + message.point))
                if os.fstat(root).st_dev == message.dev:
                    break
        else:
            raise FileNotFoundError(errno.ENOENT, "not mounted any more", message.point)
        yield root
