"""What is kept of a process that the connector reported, and the descriptors that are opened for it."""

from __future__ import annotations

import dataclasses
import errno
import os
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Literal, NoReturn, cast

import pytest

from sensor.capture.fanotify import process_log
from sensor.capture.fanotify.connector import ProcessEvent
from sensor.capture.fanotify.namespaces import NamespaceAt
from sensor.capture.fanotify.procfs import TICK_NS, ProcessFacts, running_file
from sensor.container.mounts import HOST_INIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.capture.fanotify.namespaces import Namespaces


def test_the_program_stays_open_as_long_as_it_is_the_same() -> None:
    exe = running_file(os.getpid())
    assert exe is not None
    handle = process_log.open_program(os.getpid(), exe)
    assert handle is not None
    os.close(handle)
    assert process_log.open_program(os.getpid(), (0, 0)) is None


def test_a_filesystem_that_refuses_stat_stops_nothing_and_leaks_no_descriptor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FUSE refuses it to all but the user who mounted it; a process may run something there a moment later."""
    tried: list[int] = []

    def refused(handle: int) -> NoReturn:
        tried.append(handle)
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(process_log, "file_status", refused)
    assert process_log.open_program(os.getpid(), (1, 2)) is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(tried[0])


FACTS = ProcessFacts(7, 100, 4, 0, (1, 2), (b"first",), argv_cut=False, cwd=b"/", root=b"/", link=b"/x")


@dataclasses.dataclass
class Node:
    """A node whose processes run this."""

    facts: ProcessFacts | None
    handlers: list[Callable[[ProcessEvent], None]]

    def report(self, what: Literal["fork", "exec"], parent: int | None = None) -> int:
        """Have the connector report something of process 7 that happens now; return the time since boot."""
        now = time.monotonic_ns()
        self.handlers[0](ProcessEvent(what, 7, now, parent))
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns() + now


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    found = Node(FACTS, [])
    monkeypatch.setattr(process_log, "Connector", found.handlers.append)
    monkeypatch.setattr(process_log, "mount_namespace", lambda _pid: 5)
    monkeypatch.setattr(process_log, "open_program", lambda _pid, _exe: os.open("/", os.O_PATH))
    monkeypatch.setattr(process_log, "process_facts", lambda _pid: found.facts)
    return found


@pytest.fixture
def log(node: Node) -> process_log.ProcessLog:
    assert node.facts
    spaces = SimpleNamespace(host_inum=1, host_dev=0, knows=lambda _inum: True, covers=lambda _mount: True)
    return process_log.ProcessLog(cast("Namespaces", spaces), lambda: None)


def test_a_process_with_the_pid_and_program_of_an_earlier_one_has_none_of_its_facts(
    node: Node, log: process_log.ProcessLog
) -> None:
    node.report("fork", parent=4)
    node.report("exec")
    assert log.facts(7, (1, 2)) == FACTS
    node.report("fork", parent=5)
    assert log.facts(7, (1, 2)) is None


def test_of_a_process_with_the_pid_of_a_later_one_the_parent_is_not_known(
    node: Node, log: process_log.ProcessLog
) -> None:
    first_ns = node.report("fork", parent=4)
    found = log.fork(7, first_ns)
    assert (found and found.parent) == 4
    second_ns = node.report("fork", parent=5)
    found = log.fork(7, second_ns)
    assert (found and found.parent) == 5
    assert log.fork(7, second_ns - 2 * TICK_NS) is None


def test_an_exec_of_a_process_whose_pid_a_later_one_has_by_now_is_not_that_one_s(
    node: Node, log: process_log.ProcessLog
) -> None:
    forked_ns = node.report("fork", parent=4)
    node.facts = dataclasses.replace(FACTS, start_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 10**9)
    node.report("exec")
    assert (log.facts(7, (1, 2)), log.covered()) == (None, [])
    (ended,) = log.ended()
    assert (ended.pid, ended.above) == (7, 4)
    assert abs(ended.forked_ns - forked_ns) < TICK_NS


@pytest.mark.parametrize(("namespaces", "above"), [({4: 5}, 4), ({3: 5}, 3), ({4: 1, 3: 5}, None), ({}, None)])
def test_a_program_that_ended_at_once_is_one_of_the_container_that_its_nearest_living_ancestor_is_in(
    node: Node,
    log: process_log.ProcessLog,
    monkeypatch: pytest.MonkeyPatch,
    namespaces: dict[int, int],
    above: int | None,
) -> None:
    monkeypatch.setattr(process_log, "mount_namespace", {}.get)
    node.handlers[0](ProcessEvent("fork", 4, time.monotonic_ns(), 3))
    node.report("fork", parent=4)
    monkeypatch.setattr(process_log, "mount_namespace", namespaces.get)
    node.report("exec")
    assert [each.above for each in log.ended()] == ([above] if above is not None else [])


def test_two_execs_of_which_only_the_second_is_seen_are_one(node: Node, log: process_log.ProcessLog) -> None:
    """By the time that the first is looked at the process runs the second."""
    both = time.monotonic_ns()
    for _ in range(2):
        node.handlers[0](ProcessEvent("exec", 7, both))
    assert [each.facts for each in log.covered()] == [FACTS]


def test_a_process_that_runs_its_program_again_has_run_it_twice(node: Node, log: process_log.ProcessLog) -> None:
    node.report("exec")
    node.report("exec")
    assert [each.facts for each in log.covered()] == [FACTS, FACTS]


def test_a_process_that_was_never_seen_alive_began_in_its_parent_s_namespace(
    node: Node, log: process_log.ProcessLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many between it and its container's first process are gone by then."""
    monkeypatch.setattr(process_log, "mount_namespace", {40: 5}.get)
    for pid in range(39, 7, -1):
        node.handlers[0](ProcessEvent("fork", pid, time.monotonic_ns(), pid + 1))
    node.report("fork", parent=8)
    monkeypatch.setattr(process_log, "mount_namespace", {}.get)
    node.report("exec")
    assert [(each.pid, each.where.inum, each.above) for each in log.ended()] == [(7, 5, 0)]


@pytest.mark.parametrize("inum", [1, None])
def test_a_program_of_the_node_or_of_nobody_known_is_not_counted(
    node: Node, log: process_log.ProcessLog, monkeypatch: pytest.MonkeyPatch, inum: int | None
) -> None:
    monkeypatch.setattr(process_log, "mount_namespace", lambda _pid: inum)
    node.report("fork", parent=4)
    monkeypatch.setattr(process_log, "mount_namespace", {}.get)
    node.report("exec")
    assert log.ended() == []


@pytest.mark.parametrize("earlier_root", [None, 8, 9])
@pytest.mark.parametrize(("parent_in", "is_nodes"), [(1, True), (5, False)])
def test_a_namespace_whose_process_was_gone_before_its_root_was_read_is_that_of_who_made_it(
    node: Node, monkeypatch: pytest.MonkeyPatch, parent_in: int, earlier_root: int | None, *, is_nodes: bool
) -> None:
    """As `unshare -m /bin/true` of the node. An earlier namespace with its number tells nothing of it."""
    inums, roots = {4: 1, 7: 1, 8: 5}, {"/proc/8/root": earlier_root}

    def status(path: str) -> SimpleNamespace:
        if roots.get(path) is None:
            raise FileNotFoundError(path)
        return SimpleNamespace(dev=roots[path])

    monkeypatch.setattr(process_log, "file_status", status)
    monkeypatch.setattr(process_log, "mount_namespace", inums.get)
    spaces = SimpleNamespace(host_inum=1, host_dev=8, knows=lambda _inum: False)
    log = process_log.ProcessLog(cast("Namespaces", spaces), lambda: None)
    node.handlers[-1](ProcessEvent("fork", 8, time.monotonic_ns(), 3))
    del inums[8], roots["/proc/8/root"]
    node.handlers[-1](ProcessEvent("fork", 7, time.monotonic_ns(), 4))
    inums.update({7: 5, 4: parent_in})
    node.facts = None
    node.handlers[-1](ProcessEvent("exec", 7, time.monotonic_ns()))
    assert [each.where.is_nodes for each in log.ended()] == [is_nodes]


def test_execs_of_the_node_s_services_take_no_place_of_a_container_s(
    node: Node, log: process_log.ProcessLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_log, "MAX_WAITING", 2)
    monkeypatch.setattr(process_log, "open_program", lambda _pid, _exe: None)
    monkeypatch.setattr(log, "_place", lambda *_: NamespaceAt(5, 0.0, is_nodes=True))
    node.report("exec")
    node.report("exec")
    assert (len(log.ended()), log.dropped) == (1, 0)


MOUNTED, NODE, OWN = 7, 8, 9
"""Devices of the node's root by its mount, by its directory (another one on btrfs), and of a container's."""


class Starting:
    """A node on which a mount namespace, 5, was just made; `roots` are the devices of its processes' roots.

    Process 4 is in the node's namespace, 1; `spaces` are those of others that are not in 5.
    """

    def __init__(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        self.roots: dict[int, int] = {HOST_INIT: NODE}
        self.spaces: dict[int, int] = {}
        self.is_known = False
        monkeypatch.setattr(process_log, "file_status", self._status)
        monkeypatch.setattr(process_log, "mount_namespace", self._namespace)
        spaces = SimpleNamespace(host_inum=1, host_dev=MOUNTED, knows=lambda _inum: self.is_known)
        self._log = process_log.ProcessLog(cast("Namespaces", spaces), lambda: None)
        self._report = node.handlers[-1]
        node.facts = None

    def fork(self, pid: int, parent: int, root: int) -> None:
        self.roots[pid] = root
        self._report(ProcessEvent("fork", pid, time.monotonic_ns(), parent))

    def exec(self, pid: int) -> None:
        self._report(ProcessEvent("exec", pid, time.monotonic_ns()))

    def end_at_once(self, pid: int, parent: int, *, is_parent_gone: bool) -> None:
        """Have a process run something that is gone before anything is reported, then perhaps its parent too."""
        self._report(ProcessEvent("fork", pid, time.monotonic_ns(), parent))
        if is_parent_gone:
            del self.roots[parent]
        self.exec(pid)

    def ended(self) -> list[tuple[int, bool]]:
        """Return the processes whose execs may be counted since this was called last, and if in the node's root."""
        return [(each.pid, each.where.is_nodes) for each in self._log.ended()]

    def _status(self, path: str) -> SimpleNamespace:
        pid = int(path.split("/")[2])
        if pid not in self.roots:
            raise FileNotFoundError(path)
        return SimpleNamespace(dev=self.roots[pid])

    def _namespace(self, pid: int) -> int | None:
        return 1 if pid in {4, HOST_INIT} else self.spaces.get(pid, 5) if pid in self.roots else None


@pytest.fixture
def starting(node: Node, monkeypatch: pytest.MonkeyPatch) -> Starting:
    """Its first process, 7, has the node's root still, and is known by now."""
    found = Starting(node, monkeypatch)
    found.fork(7, 4, NODE)
    found.is_known = True
    return found


@pytest.mark.parametrize(("root", "ended"), [(NODE, []), (OWN, [(7, False)])])
def test_a_service_of_the_node_with_a_mount_namespace_of_its_own_is_none_of_a_container(
    starting: Starting, root: int, ended: list[tuple[int, bool]]
) -> None:
    starting.is_known = False
    starting.roots[7] = root
    starting.exec(7)
    assert starting.ended() == ended


def test_a_container_s_first_process_has_the_node_s_root_until_it_runs_its_program(starting: Starting) -> None:
    starting.roots[7] = OWN
    starting.exec(7)
    starting.fork(6, 7, OWN)
    starting.roots.clear()
    starting.ended()
    starting.exec(6)
    assert starting.ended() == [(6, False)]


def test_of_a_container_whose_first_program_ended_at_once_its_mounts_tell_what_it_was(starting: Starting) -> None:
    starting.roots.clear()
    starting.exec(7)
    assert starting.ended() == [(7, True)]


@pytest.mark.parametrize("root", [NODE, OWN])
def test_a_hook_of_the_runtime_is_none_of_the_container_s_programs_before_its_root_is_there(
    starting: Starting, root: int
) -> None:
    """However late that is looked at."""
    starting.fork(6, 7, NODE)
    del starting.roots[6]
    starting.roots[7] = root
    starting.exec(6)
    assert starting.ended() == []


def test_a_service_with_the_number_of_an_ended_container_s_namespace_is_none_of_that(starting: Starting) -> None:
    starting.roots[7] = OWN
    starting.exec(7)
    starting.ended()
    del starting.roots[7]
    starting.is_known = False
    starting.fork(6, 4, NODE)
    starting.exec(6)
    assert starting.ended() == []


def test_the_node_s_root_inside_a_container_tells_nothing_of_its_namespace(starting: Starting) -> None:
    """As of `chroot /host`, where a pod has mounted the node's."""
    starting.is_known = False
    starting.roots[7] = OWN
    starting.exec(7)
    starting.fork(6, 7, NODE)
    for starting.is_known in (False, True):
        starting.exec(6)
        starting.fork(5, 6, NODE)
        del starting.roots[5]
        starting.exec(5)
    assert starting.ended() == [(pid, False) for pid in (7, 6, 5, 6, 5)]


@pytest.fixture
def container(starting: Starting) -> Starting:
    """Process 7 is a container's first one, in its mount namespace, 5; that is known by now."""
    starting.is_known = False
    starting.roots[7] = OWN
    starting.exec(7)
    starting.ended()
    starting.is_known = True
    return starting


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize("is_seen_late", [False, True])
def test_a_namespace_made_in_a_chroot_on_the_node_s_disk_is_the_container_s_that_made_it(
    container: Starting, *, is_known: bool, is_seen_late: bool
) -> None:
    """As of `unshare -m -R /vol /x`, or of `chroot /vol` and `unshare -m` then."""
    container.is_known = is_known
    container.spaces[6] = 6 if is_seen_late else 5
    container.fork(6, 7, NODE)
    container.spaces[6] = 6
    container.exec(6)
    container.spaces[8] = 6
    container.fork(8, 6, NODE)
    del container.roots[8]
    container.exec(8)
    assert container.ended() == [(6, False), (8, False)]


def test_a_namespace_made_in_that_of_a_container_that_was_there_before_is_not_the_node_s(starting: Starting) -> None:
    starting.spaces.update({2: 3, 6: 6})
    starting.roots[2] = OWN
    starting.is_known = False
    starting.fork(6, 2, NODE)
    starting.exec(6)
    assert starting.ended() == [(6, False)]


@pytest.mark.parametrize("is_parent_gone", [False, True])
@pytest.mark.parametrize("is_known", [False, True])
def test_what_ends_at_once_in_such_a_namespace_is_the_container_s_where_a_service_had_its_number(
    container: Starting, *, is_known: bool, is_parent_gone: bool
) -> None:
    container.is_known = False
    container.spaces.update({9: 6, 6: 5})
    container.fork(9, 4, NODE)
    container.exec(9)
    del container.roots[9]
    container.is_known = is_known
    container.fork(6, 7, NODE)
    container.spaces[6] = 6
    container.end_at_once(8, 6, is_parent_gone=is_parent_gone)
    assert container.ended() == [(8, False)]


def test_a_namespace_made_by_a_service_of_the_node_in_one_of_its_own_is_the_node_s(starting: Starting) -> None:
    starting.is_known = False
    starting.exec(7)
    starting.spaces[6] = 6
    starting.fork(6, 7, NODE)
    starting.exec(6)
    assert starting.ended() == []


def test_a_process_of_the_node_that_enters_a_container_early_makes_it_none_of_the_node_s(container: Starting) -> None:
    """As of `kubectl exec` before the container's mount namespace is known."""
    container.is_known = False
    container.fork(6, 7, OWN)
    container.fork(8, 4, NODE)
    del container.roots[6]
    container.exec(6)
    del container.roots[8]
    container.exec(8)
    assert container.ended() == [(6, False), (8, False)]


def test_an_exec_on_a_watched_mount_for_which_there_is_no_room_is_counted(
    node: Node, log: process_log.ProcessLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_log, "MAX_COVERED", 1)
    node.report("exec")
    node.report("exec")
    assert (len(log.covered()), log.dropped) == (1, 1)
