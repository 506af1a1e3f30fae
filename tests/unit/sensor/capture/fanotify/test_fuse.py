"""Which FUSE filesystems may keep their reader waiting."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest

from sensor.capture.fanotify import fuse
from sensor.capture.fanotify.fuse import fuse_in_use
from sensor.container.mounts import HOST_INIT, Mount
from sensor.files.deadline import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE: int = 70_000
"""A minor number that stat(2) splits in two."""


class Node:
    """FUSE filesystems by minor number, the node's mounts of them, and what each one's server answers."""

    def __init__(self) -> None:
        self.served: set[int] = set()
        self.mounts: list[Mount] = []
        self.answers: dict[bytes, OSError | threading.Event] = {}

    def add(self, minor: int, answer: OSError | threading.Event | None, *, is_on_node: bool = True) -> None:
        self.served.add(minor)
        point = f"/{minor}".encode()
        if is_on_node:
            self.mounts.append(Mount(minor, os.makedev(0, minor), b"/", point, b"fuse.fuse-overlayfs", b""))
        if answer is not None:
            self.answers[point] = answer

    def query(self, mount: Mount) -> None:
        answer = self.answers.get(mount.point)
        if isinstance(answer, OSError):
            raise answer
        if answer is not None:
            answer.wait()


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    node = Node()
    monkeypatch.setattr(fuse, "_connections", lambda: set(node.served))
    monkeypatch.setattr(fuse, "read_mounts", lambda pid: node.mounts if pid == HOST_INIT else [])
    monkeypatch.setattr(fuse, "_query", node.query)
    return node


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def ended() -> OSError:
    return OSError(errno.ENOTCONN, "Transport endpoint is not connected")


def test_without_one_none_is_in_use(node: Node) -> None:
    assert not fuse_in_use(Worker())


@pytest.mark.parametrize("minor", [7, LARGE])
def test_those_whose_servers_have_ended_do_not_count(node: Node, minor: int) -> None:
    node.add(minor, ended())
    node.add(minor + 1, ended())
    assert not fuse_in_use(Worker())


def test_one_that_is_served_counts_beside_them(node: Node) -> None:
    node.add(7, ended())
    node.add(8, None)
    assert fuse_in_use(Worker())


def test_one_that_the_node_has_not_mounted_counts(node: Node) -> None:
    """Nobody can tell whether its server lives: the container that it is in may be the server."""
    node.add(7, ended(), is_on_node=False)
    assert fuse_in_use(Worker())


def test_one_that_refuses_for_another_reason_counts(node: Node) -> None:
    node.add(7, PermissionError(errno.EACCES, "Permission denied"))
    assert fuse_in_use(Worker())


def test_one_that_never_answers_counts_and_is_waited_for_once(
    node: Node, hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuse, "ANSWER_SECONDS", 0.05)
    node.add(7, hanging)
    worker = Worker(max_hung=1)
    assert fuse_in_use(worker)
    monkeypatch.setattr(fuse, "ANSWER_SECONDS", 60.0)
    assert fuse_in_use(worker)


def test_where_the_kernel_does_not_tell_one_may_be_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> set[int]:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(fuse, "_connections", refused)
    assert fuse_in_use(Worker())
