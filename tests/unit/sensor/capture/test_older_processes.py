"""Sessions of processes that are older than the sensor: only what /proc shows for sure."""

from __future__ import annotations

import os

import pytest

from sensor.capture.older_processes import (
    OlderProcess,
    certain_sessions,
    oldest_of_each_root,
    read_process,
    read_processes,
)
from sensor.record import SessionOf

HOST, BOX, POD_PAUSE, POD_APP = 1, 100, 200, 201
"""Mount namespaces."""


def process(
    pid: int, parent: int, rank: int = 0, pids: int = 10, mounts: int = BOX, root: int | None = None
) -> OlderProcess:
    """Return a process with the root of its mount namespace, unless another one is named."""
    where = (mounts if root is None else root, 2)
    return OlderProcess(
        pid, parent, start=pid, rank=rank or pid, pid_namespace=pids, mount_namespace=mounts, root=where
    )


NODE = [process(1, 0, rank=1, pids=1, mounts=HOST), process(50, 1, pids=1, mounts=HOST)]
"""The node's init, and a container's runtime."""


def sessions(*processes: OlderProcess) -> dict[int, int]:
    return certain_sessions({each.pid: each for each in (*NODE, *processes)}, HOST)


def test_a_containers_first_process_is_the_workload_and_what_it_started_is_unknown() -> None:
    """A child of the first process may be an orphan of somebody who entered."""
    assert sessions(process(60, 50, rank=1), process(61, 60, rank=2)) == {60: SessionOf.WORKLOAD}


def test_who_entered_from_outside_is_an_exec_with_all_below() -> None:
    first = process(60, 50, rank=1)
    entered, child, grandchild = process(70, 50, rank=9), process(71, 70, rank=10), process(72, 71, rank=11)
    assert sessions(first, entered, child, grandchild) == {
        60: SessionOf.WORKLOAD,
        70: SessionOf.EXEC,
        71: SessionOf.EXEC,
        72: SessionOf.EXEC,
    }


@pytest.mark.parametrize(
    "entered",
    [
        pytest.param(process(70, 50, rank=1, pids=11), id="with a pid namespace of its own"),
        pytest.param(process(70, 50, rank=1, pids=11, mounts=300, root=BOX), id="with a mount namespace too"),
        pytest.param(process(70, 50, rank=1, pids=11, mounts=300, root=HOST), id="of the node, with the node's root"),
    ],
)
def test_who_made_namespaces_of_its_own_is_not_taken_for_a_containers_first_process(entered: OlderProcess) -> None:
    assert sessions(process(60, 50, rank=1), entered) == {60: SessionOf.WORKLOAD}


def test_the_oldest_process_of_each_root_is_who_began_there_whatever_its_session() -> None:
    pause, app = process(60, 50, rank=1, mounts=POD_PAUSE), process(70, 50, rank=7, mounts=POD_APP)
    entered = process(80, 50, rank=1, pids=11, mounts=300, root=POD_APP)
    of_node = process(90, 50, rank=1, pids=12, mounts=301, root=HOST)
    found = {each.pid: each for each in (*NODE, pause, app, entered, of_node)}
    assert oldest_of_each_root(found, HOST) == {60, 70}


def test_nothing_is_said_of_a_container_that_shares_its_pods_processes() -> None:
    """Its own first process has a parent outside too, and is not the first of the pid namespace."""
    pause = process(60, 50, rank=1, mounts=POD_PAUSE)
    app = process(70, 50, rank=7, mounts=POD_APP)
    assert sessions(pause, app) == {60: SessionOf.WORKLOAD}


def test_nothing_is_said_of_a_container_in_the_nodes_pid_namespace() -> None:
    assert sessions(process(60, 50, pids=1), process(61, 60, pids=1)) == {}


def test_processes_of_the_node_have_no_session() -> None:
    assert sessions() == {}


def test_parents_in_a_circle_end_the_search() -> None:
    """Pids are read one after the other: what is read may never have been at one time."""
    assert sessions(process(80, 81), process(81, 80)) == {}


def test_this_process_is_read_from_proc() -> None:
    found = read_process(os.getpid())
    assert found is not None
    assert (found.pid, found.parent) == (os.getpid(), os.getppid())
    assert found.start > 0
    assert os.getpid() in read_processes()


@pytest.mark.parametrize("pid", [0, 2**22 + 1])
def test_a_process_that_is_gone_is_left_out(pid: int) -> None:
    assert read_process(pid) is None
    assert read_processes([pid]) == {}
