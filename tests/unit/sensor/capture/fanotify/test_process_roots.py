"""Whether a mount namespace is the node's or a container's, by the roots of the first processes that are seen in it."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from sensor.capture.fanotify import process_log
from sensor.capture.fanotify.connector import ProcessEvent
from sensor.container.mounts import HOST_INIT
from tests.unit.sensor.capture.fanotify.test_process_log import Node, node

if TYPE_CHECKING:
    from sensor.capture.fanotify.namespaces import Namespaces

__all__ = ["node"]

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
