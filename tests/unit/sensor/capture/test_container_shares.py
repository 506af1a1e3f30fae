"""A container that is slow or hangs costs the others little."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor.capture.fanotify import mount_tables, namespaces
from sensor.capture.fanotify.group import Fanotify
from sensor.capture.fanotify.namespaces import MAX_OF_CONTAINER, Namespaces
from sensor.container.base import payer_id
from sensor.container.mounts import HOST_INIT, Mount
from sensor.files.deadline import MAX_HUNG_OF_CONTAINER, WAITED_AT_ONCE, WAITED_PER_SECOND, Worker
from sensor.files.handles import OpenFile, file_status

ID, OTHER = "a1" * 32, "b2" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


class TestWaiting:
    def test_a_container_that_hangs_is_skipped_and_the_others_are_read(self) -> None:
        worker, go = Worker(), threading.Event()
        for _ in range(MAX_HUNG_OF_CONTAINER):
            with pytest.raises(TimeoutError):
                worker.run_at_expense("a", go.wait, 0.01)
        with pytest.raises(TimeoutError, match="still hangs"):
            worker.run_at_expense("a", lambda: 7, 30.0)
        assert worker.run_at_expense("b", lambda: 7, 30.0) == 7
        go.set()

    def test_a_container_that_is_slow_every_time_is_skipped_for_a_while(self) -> None:
        clock = Clock()
        worker = Worker(clock=clock)
        for _ in range(3):
            worker.run_at_expense("a", lambda: clock.pass_by(WAITED_AT_ONCE / 2), 30.0)
        with pytest.raises(TimeoutError, match="too long"):
            worker.run_at_expense("a", lambda: 7, 30.0)
        assert worker.run_at_expense("b", lambda: 7, 30.0) == 7
        clock.pass_by(WAITED_AT_ONCE / WAITED_PER_SECOND)
        assert worker.run_at_expense("a", lambda: 7, 30.0) == 7

    def test_large_files_may_take_longer(self) -> None:
        clock = Clock()
        worker = Worker(clock=clock)
        for _ in range(3):
            worker.run_at_expense("a", lambda: clock.pass_by(WAITED_AT_ONCE), 30.0, quick=WAITED_AT_ONCE)
        assert worker.run_at_expense("a", lambda: 7, 30.0) == 7

    def test_the_outermost_container_is_charged_whatever_its_nested_cgroups_are_called(self) -> None:
        assert payer_id((OTHER.encode(), b"libpod-" + ID.encode(), b"machine.slice")) == ID
        assert payer_id((b"x.service", b"system.slice")) == "x.service/system.slice"


class TestHandles:
    def test_a_file_s_facts_equal_those_of_stat(self, tmp_path: Path) -> None:
        path = tmp_path / "x"
        path.write_bytes(b"abc")
        facts = path.stat()
        expected = facts.st_dev, facts.st_ino, facts.st_size, facts.st_ctime_ns, facts.st_nlink, facts.st_mode
        assert tuple(file_status(str(path))) == expected
        with pytest.raises(FileNotFoundError):
            file_status(str(tmp_path / "none"))

    def test_a_held_file_is_not_open_for_reading(self, tmp_path: Path) -> None:
        """Opening and closing it would wait for a filesystem whose server does not answer."""
        (tmp_path / "x").write_bytes(b"abc")
        file = OpenFile.from_link(str(tmp_path / "x"))
        try:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.read(file.fd, 1)
        finally:
            file.close()


class Group(Fanotify):
    """Records the mount ids that are marked in containers, without marking anything."""

    def __init__(self) -> None:
        self.marked: list[int] = []

    def mark(self, mask: int, scope: object, *, path: bytes | str | None = None, fd: int | None = None) -> None:
        if fd is not None:
            self.marked.append(fd)

    def close(self) -> None:
        """Do nothing: nothing is open."""


class Node:
    """Processes by pid, each in a mount namespace of its own and in the cgroup of a container."""

    def __init__(self) -> None:
        self.cgroups: dict[int, tuple[bytes, ...]] = {}
        self.tables: dict[int, list[Mount]] = {HOST_INIT: [Mount(1, 1, b"/", b"/", b"ext4", b"")]}
        self.group = Group()
        self.fuse = False

    @contextlib.contextmanager
    def reached(self, mount: Mount) -> Iterator[int]:
        yield mount.id

    def run(self, pid: int, container: str, *more: Mount) -> None:
        self.cgroups[pid] = (container.encode(),)
        self.tables[HOST_INIT].append(Mount(pid * 10 + 1, pid * 10, b"/", b"/merged", b"overlay", b""))
        self.tables[pid] = [Mount(pid * 10, pid * 10, b"/", b"/", b"overlay", b""), *more]


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    node = Node()
    monkeypatch.setattr(namespaces, "mount_namespace", lambda pid: pid + 1_000 if pid in node.tables else None)
    for module in (namespaces, mount_tables):
        monkeypatch.setattr(module, "read_mounts", lambda pid: node.tables.get(pid, []))
    monkeypatch.setattr(mount_tables, "_root_path", lambda pid: b"/" if pid in node.tables else None)
    monkeypatch.setattr(namespaces, "cgroup_names", lambda pid: node.cgroups.get(pid, ()))
    monkeypatch.setattr(namespaces, "fuse_in_use", lambda _: node.fuse)
    monkeypatch.setattr(Namespaces, "_hold", lambda *_: True)
    return node


@pytest.fixture
def spaces(node: Node) -> Iterator[Namespaces]:
    found = Namespaces(node.group, 1, lambda *_: None)
    yield found
    found.close()


class TestNamespaces:
    def test_a_container_with_many_namespaces_does_not_evict_another_s(self, node: Node, spaces: Namespaces) -> None:
        node.run(2, OTHER)
        spaces.learn(2)
        for pid in range(3, 3 + 2 * MAX_OF_CONTAINER):
            node.run(pid, ID)
            spaces.learn(pid)
        assert spaces.knows(1_002)
        known = [pid for pid in range(3, 3 + 2 * MAX_OF_CONTAINER) if spaces.knows(pid + 1_000)]
        assert known == [3, *range(4 + MAX_OF_CONTAINER, 3 + 2 * MAX_OF_CONTAINER)]

    def test_a_container_s_own_overlay_is_not_watched_where_it_may_lie_on_fuse(
        self, node: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Opening a file on it, as fanotify does for each event, or a directory to watch might never return."""
        own = Mount(5, 99, b"/", b"/tmp", b"overlay", b"")
        monkeypatch.setattr(namespaces, "reached", lambda _root, mount, **_space: node.reached(mount))
        node.run(os.getpid(), ID, own)
        for node.fuse in (True, False):
            with contextlib.closing(Namespaces(node.group, 1, lambda *_: None)) as spaces:
                spaces.learn(os.getpid())
        assert node.group.marked == [os.getpid() * 10, os.getpid() * 10, 5]

    @pytest.mark.parametrize("later", [b"a", b"b"])
    def test_a_root_that_reuses_a_device_number_is_watched_too(
        self, node: Node, spaces: Namespaces, later: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The kernel reuses mount ids and device numbers, even for the same layers, and a reader may be late."""
        marked: list[bytes] = []
        monkeypatch.setattr(Namespaces, "_mark_root", lambda _, path, dev: marked.append(path))
        for layer in (b"a", later):
            node.tables[HOST_INIT][1:] = [Mount(9, 90, b"/", b"/merged", b"overlay", b"upperdir=" + layer)]
            spaces._read_host()
        assert marked == [b"/merged", f"/proc/{HOST_INIT}/root/merged".encode()] * 2

    def test_a_mount_that_reuses_a_mount_id_is_watched_too(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(namespaces, "reached", lambda _root, mount, **_space: node.reached(mount))
        monkeypatch.setattr(namespaces, "open_directory", lambda _: contextlib.nullcontext(0))
        scratch = Mount(5, 99, b"/", b"/tmp", b"tmpfs", b"")
        node.run(2, ID, scratch)
        node.run(3, OTHER, scratch)
        with contextlib.closing(Namespaces(node.group, 1, lambda *_: None)) as spaces:
            for pid in (2, 3):
                spaces.learn(pid)
        assert node.group.marked == [20, 5, 30, 5]

    def test_an_id_that_an_ended_container_s_mount_had_is_not_taken_for_that_mount(
        self, node: Node, spaces: Namespaces, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Overlay's own mounts are in no table: a file of a layer would be reported beside the file that was run."""
        monkeypatch.setattr(namespaces, "reached", lambda _root, mount, **_space: node.reached(mount))
        monkeypatch.setattr(namespaces, "open_directory", lambda _: contextlib.nullcontext(0))
        monkeypatch.setattr(namespaces, "SETTLED_SECONDS", -1.0)
        node.run(2, ID, Mount(5, 99, b"/", b"/tmp", b"tmpfs", b""))
        node.run(3, OTHER)
        ended, other = spaces.learn(2), spaces.learn(3)
        assert ended is not None
        assert spaces.covers(5)
        del node.tables[2]
        spaces._retire(ended)
        assert not spaces.covers(5)
        assert spaces.find_for(3, 5) is None
        assert spaces.find_for(2, 5) == (ended, ended.mounts[5])  # read late
        node.tables[3].append(Mount(5, 90, b"/", b"/tmp", b"tmpfs", b""))
        assert other is not None
        assert spaces.find_for(3, 5) == (other, node.tables[3][-1])

    def test_a_node_s_mount_that_is_gone_hides_no_container_s_with_its_id(
        self, node: Node, spaces: Namespaces, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A container that ends leaves the ids of its mounts on the node, and another one may mount something then."""
        node.run(2, ID)
        assert spaces.is_host(1)
        node.tables[HOST_INIT] = [mount for mount in node.tables[HOST_INIT] if mount.id != 1]
        monkeypatch.setattr(namespaces, "has_changed", lambda _: True)
        assert not spaces.is_host(1)

    def test_a_mount_that_a_living_container_has_given_up_is_not_taken_for_what_has_its_id_now(
        self, node: Node, spaces: Namespaces, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(namespaces, "reached", lambda _root, mount, **_space: node.reached(mount))
        monkeypatch.setattr(namespaces, "open_directory", lambda _: contextlib.nullcontext(0))
        own = Mount(5, 99, b"/", b"/tmp", b"tmpfs", b"")
        node.run(2, ID, own)
        node.run(3, OTHER)
        first, second = spaces.learn(2), spaces.learn(3)
        assert first is not None
        assert second is not None
        assert spaces.find_for(2, 5) == (first, own)
        node.tables[2].remove(own)
        assert spaces.find_for(3, 5) is None
        node.tables[3].append(own)
        assert spaces.find_for(3, 5) == (second, own)

    def test_a_mount_that_is_made_again_in_its_own_place_is_marked_again(
        self, node: Node, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Unmounted and mounted again between two reads, it has the same id and device, and no mark."""
        monkeypatch.setattr(namespaces, "reached", lambda _root, mount, **_space: node.reached(mount))
        monkeypatch.setattr(namespaces, "open_directory", lambda _: contextlib.nullcontext(0))
        node.run(2, ID, Mount(5, 99, b"/", b"/tmp", b"tmpfs", b""))
        with contextlib.closing(Namespaces(node.group, 1, lambda *_: None)) as spaces:
            found = spaces.learn(2)
            assert found is not None
            spaces.refresh(found)
        assert node.group.marked == [20, 5] * 2

    def test_what_the_sensor_has_mounted_itself_is_watched_beside_fuse(
        self, node: Node, spaces: Namespaces, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(namespaces, "reached", lambda _root, mount, **_space: node.reached(mount))
        monkeypatch.setattr(namespaces, "open_directory", lambda _: contextlib.nullcontext(0))
        node.fuse = True
        node.run(2, ID, Mount(5, 99, b"/", b"/tmp", b"overlay", b""))
        spaces.learn(2)
        assert not spaces.covers(5)
        spaces.trust(2)
        assert 5 in node.group.marked

    def test_a_namespace_whose_last_process_ends_while_it_is_looked_at_leaves_its_number_to_the_next(
        self, node: Node, spaces: Namespaces, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing would tell that it is gone: the next one with its number, a container's, passed for it."""
        node.run(2, ID)
        node.tables[2] = [Mount(5, 99, b"/", b"/tmp", b"tmpfs", b"")]
        found = spaces.learn(2)
        assert found is not None
        assert found.root is None
        monkeypatch.setattr(Namespaces, "_hold", lambda *_: False)
        assert spaces.learn(2) is None
        assert not spaces.knows(1_002)
