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


def test_an_exec_on_a_watched_mount_for_which_there_is_no_room_is_counted(
    node: Node, log: process_log.ProcessLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_log, "MAX_COVERED", 1)
    node.report("exec")
    node.report("exec")
    assert (len(log.covered()), log.dropped) == (1, 1)
