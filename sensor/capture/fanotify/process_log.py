"""Log the process connector's reports at once, in a thread of its own: a process may be gone a millisecond later."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.capture.fanotify.connector import Connector
from sensor.capture.fanotify.namespaces import NamespaceAt
from sensor.capture.fanotify.procfs import TICK_NS, Fork, ProcessFacts, process_facts
from sensor.container.mounts import HOST_INIT, mount_id, mount_namespace
from sensor.container.recent import Recent
from sensor.files.handles import file_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.capture.fanotify.connector import ProcessEvent
    from sensor.capture.fanotify.namespaces import Namespaces

MAX_FACTS: Final = 8_192
MAX_FORKS: Final = 65_536
MAX_COVERED: Final = 8_192
MAX_WAITING: Final = 1_024
"""Programs held open until they are looked at."""
NEAR_ANCESTORS: Final = 16
"""Of a process that is gone, that are asked for its container."""
NOT_THE_NODES: Final = -1
"""The device of a root of which no more is known."""


@dataclasses.dataclass(slots=True)
class UnmarkedProgram:
    """A program that fanotify does not report: in a memfd, or on a mount that is not watched. `handle` is O_PATH.

    `where` is the mount namespace that it ran in.
    """

    facts: ProcessFacts
    handle: int
    time_ns: int
    where: NamespaceAt


class EndedExec(NamedTuple):
    """An exec of a process that ended before its program could be opened. `where` is the mount namespace it was in.

    `above` is its nearest ancestor that lived, 0 where none did. `facts` where they had been read by then.
    """

    pid: int
    forked_ns: int
    above: int
    where: NamespaceAt
    facts: ProcessFacts | None = None


class CoveredExec(NamedTuple):
    """An exec on a mount that is watched, and the mount namespace that it was in."""

    facts: ProcessFacts
    where: NamespaceAt


class _LoggedFacts(NamedTuple):
    """Facts, and when they had been read (monotonic)."""

    facts: ProcessFacts
    read_ns: int


class _NotedRoot(NamedTuple):
    """The device of a mount namespace's root, and a process that was in the namespace by then."""

    dev: int
    pid: int


class _BootClock:
    """Turns the connector's times into times since boot, which go on while the machine sleeps. For one thread."""

    def __init__(self) -> None:
        self._ahead_ns = 0

    def since_boot(self, monotonic_ns: int) -> int:
        before, now, after = time.monotonic_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.monotonic_ns()
        # What was measured before stays where it may be right: this thread may have been stopped in between now.
        if not now - after <= self._ahead_ns <= now - before:
            self._ahead_ns = now - before
        return monotonic_ns + self._ahead_ns


class ProcessLog:
    """Facts of processes in containers, from the connector. `wake` is called when there is news."""

    def __init__(self, namespaces: Namespaces, wake: Callable[[], None]) -> None:
        """Raises CaptureUnavailable."""
        self._namespaces, self._wake = namespaces, wake
        self._node_root = _root_dev(HOST_INIT) or namespaces.host_dev
        self._lock = threading.Lock()
        # By the time of its fork too: a pid is given again, perhaps to a process that runs the same file.
        self._facts: Recent[tuple[int, int, tuple[int, int]], _LoggedFacts] = Recent(MAX_FACTS)
        self._forks: Recent[int, Fork] = Recent(MAX_FORKS)
        self._unknown: collections.deque[int] = collections.deque(maxlen=MAX_WAITING)
        self._programs: collections.deque[UnmarkedProgram] = collections.deque()
        self._inums: Recent[int, int] = Recent(MAX_FORKS)
        self._roots: Recent[int, _NotedRoot] = Recent(MAX_FACTS)
        self._covered: collections.deque[CoveredExec] = collections.deque()
        self._ended: collections.deque[EndedExec] = collections.deque()
        self.execs = 0
        self.dropped = 0
        self._clock = _BootClock()
        self._connector = Connector(self._log_event)

    @property
    def lost(self) -> int:
        """Times that the kernel dropped messages, and programs for which there was no room."""
        return self._connector.lost + self.dropped

    @property
    def failed(self) -> OSError | None:
        """Why it ended by itself, if it did."""
        return self._connector.failed

    def start(self) -> None:
        """Begin to listen, after noting where each process is: one may make a mount namespace later."""
        for entry in os.scandir("/proc"):
            inum = mount_namespace(int(entry.name)) if entry.name.isdigit() else None
            if inum is not None:
                self._inums.put(int(entry.name), inum)
        self._connector.start()

    def facts(self, pid: int, exe: tuple[int, int]) -> ProcessFacts | None:
        """Return the log entry of a process for its exec of this file."""
        with self._lock:
            logged = self._facts.get((pid, self._forked_ns(pid), exe))
        return logged.facts if logged is not None else None

    def fork(self, pid: int, before_ns: int) -> Fork | None:
        """Return how the process began that had this pid at a time since boot, and may be gone; None if unknown."""
        with self._lock:
            fork = self._forks.get(pid)
        return fork if fork is not None and fork.time_ns <= before_ns + TICK_NS else None

    def unknown(self) -> list[int]:
        """Processes seen in mount namespaces that were unknown."""
        return [self._unknown.popleft() for _ in range(len(self._unknown))]

    def programs(self) -> list[UnmarkedProgram]:
        """Programs to look at; the caller closes their handles."""
        return [self._programs.popleft() for _ in range(len(self._programs))]

    def covered(self) -> list[CoveredExec]:
        """Processes whose program fanotify should have reported by now: on a mount that was watched."""
        return [self._covered.popleft() for _ in range(len(self._covered))]

    def ended(self) -> list[EndedExec]:
        """Execs in containers whose programs could not be opened; fanotify has reported most of them."""
        return [self._ended.popleft() for _ in range(len(self._ended))]

    def stop(self) -> None:
        """Stop listening; what was logged stays. Safe to call twice."""
        self._connector.close()

    def close(self) -> None:
        """Stop, and release the programs that were not looked at; safe to call twice."""
        self.stop()
        for program in self.programs():
            os.close(program.handle)

    def _forked_ns(self, pid: int) -> int:
        fork = self._forks.get(pid)
        return fork.time_ns if fork is not None else 0

    def _log_event(self, event: ProcessEvent) -> None:
        if event.parent is not None:
            with self._lock:
                self._forks.put(event.pid, Fork(event.parent, self._clock.since_boot(event.time_ns)))
        before = self._inum_before(event)
        inum = self._noted_inum(event)
        has_started = event.what == "exec" and self._forget_start(event.pid)
        if inum == self._namespaces.host_inum:
            return
        if inum is None:
            if event.parent is not None:
                self._note_parent(event.pid, event.parent, before)
            else:
                self._log_ended(event.pid)
            return
        is_known = self._namespaces.knows(inum)
        if event.parent is not None and before == self._namespaces.host_inum and not is_known:
            self._note_copy(event.pid, inum)
        elif event.what == "exec" or not is_known or inum != before:
            self._note_root(event.pid, inum, before, is_known=is_known and not has_started)
        if not is_known:
            self._unknown.append(event.pid)
            self._wake()
        if event.what == "exec":
            self.execs += 1
            self._log_exec(event.pid, event.time_ns, inum)

    def _inum_before(self, event: ProcessEvent) -> int | None:
        """Return the mount namespace that a process was in, or of a new one its parent; None if unknown."""
        if event.parent is None:
            return self._inums.get(event.pid)
        return self._inums.get(event.parent) or mount_namespace(event.parent)

    def _noted_inum(self, event: ProcessEvent) -> int | None:
        """Note the mount namespace of a process, which begins in its parent's; return it, None where it is gone."""
        inum = mount_namespace(event.pid)
        known = inum
        if known is None and event.parent is not None:
            known = mount_namespace(event.parent) or self._inums.get(event.parent)
        if known is not None:
            self._inums.put(event.pid, known)
        elif event.parent is not None:
            self._inums.remove(event.pid)
        return inum

    def _forget_start(self, pid: int) -> bool:
        """Forget a root that is the node's when the first process of a mount namespace runs its program; return if so.

        What ran there before, as hooks of the runtime do, did so before the container had its root.
        """
        inum, fork = self._inums.get(pid), self._forks.get(pid)
        is_first = inum is not None and fork is not None and self._inums.get(fork.parent) != inum
        if inum is not None and is_first and self._root_dev(inum) == self._node_root:
            self._roots.remove(inum)
            return True
        return False

    def _root_dev(self, inum: int) -> int | None:
        """Return the device noted for a mount namespace's root."""
        noted = self._roots.get(inum)
        return noted.dev if noted is not None else None

    def _is_noted(self, inum: int, pid: int) -> bool:
        """Return whether another process by which a root was noted is still there: its number is no later one's."""
        noted = self._roots.get(inum)
        return noted is not None and noted.pid != pid and mount_namespace(noted.pid) == inum

    def _note_copy(self, pid: int, inum: int) -> None:
        """Note the node's root for a mount namespace that began as a copy of the node's, whatever it has by now.

        Not for a container's that a process of the node entered, as `kubectl exec` does.
        """
        if not self._is_noted(inum, pid):
            self._roots.put(inum, _NotedRoot(self._node_root, pid))

    def _note_parent(self, pid: int, parent: int, before: int | None) -> None:
        """Note the root where a process began that is gone, if its parent had made a mount namespace by then."""
        inum = self._inums.get(pid)
        if inum is not None and inum not in {before, self._namespaces.host_inum}:
            self._note_root(parent, inum, before, is_known=self._namespaces.knows(inum))

    def _note_root(self, pid: int, inum: int, before: int | None, *, is_known: bool) -> None:
        """Note the device of a process's root for its namespace, until that is another than the node's.

        A service of the node's keeps it; in a container the runtime has it until it switches to the container's root.
        `before` is the namespace that the process was in: what a container makes has its root, wherever it ran chroot.
        """
        if inum != before and not self._is_noted(inum, pid):
            if before is not None and not self._is_nodes(before):
                self._roots.put(inum, _NotedRoot(self._root_dev(before) or NOT_THE_NODES, pid))
            elif not is_known:
                self._roots.remove(inum)  # perhaps of an earlier namespace with its number
        noted = self._root_dev(inum)
        found = _root_dev(pid) if noted == self._node_root or (noted is None and not is_known) else None
        if found is not None:
            self._roots.put(inum, _NotedRoot(found, pid))

    def _is_nodes(self, inum: int) -> bool:
        """Return whether a mount namespace is the node's own, or has its root."""
        return inum == self._namespaces.host_inum or self._root_dev(inum) == self._node_root

    def _log_exec(self, pid: int, time_ns: int, inum: int) -> None:
        where = self._place(inum)
        facts = process_facts(pid)
        if facts is None or facts.start_ns > self._clock.since_boot(time_ns):  # its pid is a younger process's by now
            self._log_ended(pid, inum)
            return
        with self._lock:
            key = pid, self._forked_ns(pid), facts.exe
            before = self._facts.get(key)
            self._facts.put(key, _LoggedFacts(facts, time.monotonic_ns()))
        if before is not None and before.facts == facts and time_ns <= before.read_ns:
            return  # it ran something else just before: when that was looked at, it ran this already
        handle = open_program(pid, facts.exe)
        if handle is None:
            self._log_ended(pid, inum, facts)
            return
        if self._namespaces.covers(mount_id(handle)):
            # fanotify reports it too, with the file as the exec found it.
            os.close(handle)
            if len(self._covered) >= MAX_COVERED:
                self.dropped += 1
                return
            self._covered.append(CoveredExec(facts, where))
            self._wake()
        elif len(self._programs) >= MAX_WAITING:
            os.close(handle)
            self.dropped += 1
        else:
            self._programs.append(UnmarkedProgram(facts, handle, time.clock_gettime_ns(time.CLOCK_BOOTTIME), where))
            self._wake()

    def _log_ended(self, pid: int, inum: int | None = None, facts: ProcessFacts | None = None) -> None:
        """Log an exec in a container; one of which nothing tells where it was may be the node's own."""
        inum = inum or self._inums.get(pid)
        if inum == self._namespaces.host_inum:
            return
        above, inum_above = self._living_ancestor(pid)
        inum = inum or inum_above
        if inum is None or inum == self._namespaces.host_inum:
            return
        where = self._place(inum, above, inum_above)
        if self._root_dev(inum) == self._node_root:
            return  # of a service of the node's, or of the runtime before it has switched to the container's root
        # Most of these are no losses: they must not take the place of a container's.
        if len(self._ended) >= (MAX_WAITING // 2 if where.is_nodes else MAX_WAITING):
            self.dropped += not where.is_nodes
            return
        self._ended.append(EndedExec(pid, self._forked_ns(pid) or 1, above, where, facts))
        self._wake()

    def _place(self, inum: int, above: int = 0, inum_above: int | None = None) -> NamespaceAt:
        """Return a mount namespace as it is now: the node's by its root, or since a process of the node's made it.

        The latter where its root was never seen: unshare(1) may be gone before that is read. So may a container's first
        process, but a container that lives on is known by the time that this is asked for. `above` is an ancestor of
        what ran there, in the namespace `inum_above`.
        """
        if inum == inum_above and self._root_dev(inum) is None:
            self._note_root(above, inum, self._inums.get(above), is_known=self._namespaces.knows(inum))
        root = self._root_dev(inum)
        made_by_node = inum_above == self._namespaces.host_inum
        return NamespaceAt(inum, time.monotonic(), root == self._node_root if root else made_by_node)

    def _living_ancestor(self, pid: int) -> tuple[int, int | None]:
        """Return the nearest ancestor that lives, and its mount namespace; 0 and None of none."""
        for _ in range(NEAR_ANCESTORS):
            fork = self._forks.get(pid)
            if fork is None:
                break
            pid = fork.parent
            inum = mount_namespace(pid)
            if inum is not None:
                return pid, inum
        return 0, None


def open_program(pid: int, exe: tuple[int, int]) -> int | None:
    """Return a handle on a process's executable if unchanged. O_PATH: it involves no filesystem's server."""
    try:
        handle = os.open(f"/proc/{pid}/exe", os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return None
    # A filesystem may refuse even attributes, such as one of FUSE that another user mounted.
    with contextlib.suppress(OSError):
        found = file_status(handle)
        if (found.dev, found.ino) == exe:
            return handle
    os.close(handle)
    return None


def _root_dev(pid: int) -> int | None:
    """Return the device of a process's root directory, on btrfs another than its mount's; None where it is gone."""
    with contextlib.suppress(OSError):
        return file_status(f"/proc/{pid}/root").dev
    return None
