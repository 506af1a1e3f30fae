"""What the blocker writes to the kernel's tables, with recording tables and fake mounts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sensor.blocking import blocker
from sensor.blocking.block_plan import FILELESS, FOREIGN, MAPPED, NEW, ClusterLocation, workload_id
from sensor.blocking.blocker import Blocker, BlockingPolicy
from sensor.blocking.kill_limit import KillLimit
from sensor.capture.block_tables import ContainerEntry
from sensor.container.mounts import Mount
from sensor.policy import compile_policy, normalise
from tests.unit.sensor.blocking.test_container_tracker import DEV, FakeRuntime, overlay
from tests.unit.sensor.policy.test_document import document_of, minimal_rule

PATIENCE = 30.0


class FakeTables:
    """`entries` is the kernel's table, `leases` the renewals in order, `names` the published images."""

    fds = None

    def __init__(self) -> None:
        self.entries: dict[int, ContainerEntry] = {}
        self.leases: list[float] = []
        self.names: set[int] = set()
        self.cleared = 0

    def enforce(self, root_dev: int, entry: ContainerEntry) -> None:
        self.entries[root_dev] = entry

    def release(self, root_dev: int) -> None:
        self.entries.pop(root_dev, None)

    def set_image_names(self, image: int, names: bytes) -> None:
        self.names.add(image)

    def remove_image_names(self, image: int) -> None:
        self.names.discard(image)

    def clear(self) -> None:
        self.cleared += 1
        self.entries.clear()

    def renew(self, seconds: float) -> None:
        self.leases.append(seconds)


class FakeWatch:
    """Turns come fast; `mounts` are the host's."""

    def __init__(self) -> None:
        self.mounts: dict[int, list[Mount]] = {}

    def overlays(self) -> dict[int, list[Mount]]:
        return dict(self.mounts)

    def wait(self, seconds: float) -> bool:
        time.sleep(0.005)
        return True

    def wake(self) -> None:
        """Do nothing: the next turn comes by itself."""

    def close(self) -> None:
        """Do nothing: nothing is open."""


class FakeHold:
    """Records the containers whose execs are held."""

    is_up = False

    def __init__(self, *_: object) -> None:
        self.watched: set[int] = set()
        self.denying: set[int] = set()
        self.expected: list[tuple[int, bytes]] = []

    def follow(self, document: dict[str, Any]) -> None:
        """As any."""

    def expect(self, dev: int, point: bytes) -> None:
        self.expected.append((dev, point))

    def watch(self, dev: int, _: object, *, denies_new: bool = False) -> None:
        self.watched.add(dev)
        (self.denying.add if denies_new else self.denying.discard)(dev)

    def forget(self, dev: int) -> None:
        self.watched.discard(dev)

    def update(self) -> None:
        """Do nothing: no program runs."""

    def close(self) -> None:
        self.watched.clear()


class Bench:
    def __init__(self, directory: Path) -> None:
        (directory / "upper").mkdir()
        (directory / "lower").mkdir()
        self.directory = directory
        self.tables, self.watch = FakeTables(), FakeWatch()
        self.kill_limit = KillLimit(2)
        self.blocker: Blocker | None = None
        self.orders_now: BlockingPolicy | None = None

    def start(self) -> None:
        place = ClusterLocation("azure", "1", "prod")
        tables: Any = self.tables
        self.blocker = Blocker(tables, [FakeRuntime()], place, lambda: self.orders_now, self.kill_limit)

    def order(self, action: str = "block", halted: str = "", **rule: Any) -> None:
        document = normalise(document_of(minimal_rule(action=action, **rule)))
        self.orders_now = BlockingPolicy(document, compile_policy(document), frozenset(document["detect"]), halted)

    def mount(self) -> None:
        mounts = overlay(self.directory / "upper")[DEV]
        lower = b"lowerdir=" + bytes(self.directory / "lower")
        options = lower + b",upperdir=" + bytes(self.directory / "upper")
        self.watch.mounts = {DEV: [Mount(m.id, m.dev, m.root, m.point, m.fstype, options) for m in mounts]}

    def held(self) -> set[int]:
        assert self.blocker is not None
        hold: Any = self.blocker._hold
        return set(hold.watched)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path)
    monkeypatch.setattr(blocker, "MountWatch", lambda: made.watch)
    monkeypatch.setattr(blocker, "HoldClient", FakeHold)
    made.start()
    yield made
    if made.blocker is not None:
        made.blocker.close()


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_entries_of_an_earlier_sensor_are_cleared_on_start(bench: Bench) -> None:
    assert bench.tables.cleared == 1


def test_before_the_first_policy_nothing_is_blocked(bench: Bench) -> None:
    bench.mount()
    eventually(lambda: len(bench.tables.leases) > 5)
    assert bench.tables.entries == {}
    assert set(bench.tables.leases) == {0.0}


def test_a_container_is_added_when_mounted_and_removed_when_unmounted(bench: Bench) -> None:
    bench.order()
    bench.mount()
    eventually(lambda: DEV in bench.tables.entries)
    entry = bench.tables.entries[DEV]
    # The runtime's mounts are unknown before the first exec, so nothing is foreign yet.
    assert (entry.kinds, entry.upper_ino) == ((NEW | FILELESS | MAPPED,) * 3, (bench.directory / "upper").stat().st_ino)
    eventually(lambda: bench.tables.names == {entry.image} and bench.held() == {DEV})
    bench.watch.mounts = {}
    eventually(lambda: bench.tables.entries == {} and bench.held() == set() and bench.tables.names == set())


@pytest.mark.parametrize(("halted", "expected"), [("", [(DEV, b"/merged")]), ("stopped", [])])
def test_execs_of_a_new_container_are_held_until_it_is_identified(
    bench: Bench, halted: str, expected: list[tuple[int, bytes]]
) -> None:
    bench.order(halted=halted)
    eventually(lambda: len(bench.tables.leases) > 5)
    bench.mount()
    assert bench.blocker is not None
    tracked = bench.blocker._containers.tracked
    eventually(lambda: DEV in tracked)
    hold: Any = bench.blocker._hold
    assert hold.expected == expected


def test_foreign_mounts_are_blocked_once_the_runtime_s_are_known(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.blocking.container_tracker.real_mount_points", lambda _: frozenset({b"/data"}))
    inside = [Mount(1, DEV, b"/", b"/", b"overlay", b""), Mount(2, 7, b"/", b"/data", b"ext4", b"")]
    monkeypatch.setattr("sensor.blocking.container_tracker.read_mounts", lambda _: inside)
    bench.order()
    bench.mount()
    eventually(lambda: DEV in bench.tables.entries)
    assert bench.blocker is not None
    bench.blocker.meet(bench.blocker._containers.tracked[DEV].resolved)
    eventually(lambda: all(kinds & FOREIGN for kinds in bench.tables.entries[DEV].kinds))
    assert bench.tables.entries[DEV].devices == (7,)


def test_a_new_policy_is_applied_and_the_lease_continues(bench: Bench) -> None:
    bench.order()
    bench.mount()
    eventually(lambda: DEV in bench.tables.entries)
    bench.order(action="alert")
    eventually(lambda: bench.tables.entries == {} and bench.held() == set())
    assert bench.tables.leases[-1] > 0


@pytest.mark.parametrize("halted", ["stopped", "environment_off"])
def test_stopping_all_blocking_ends_the_lease_and_releases_held_execs(bench: Bench, halted: str) -> None:
    bench.order()
    bench.mount()
    eventually(lambda: DEV in bench.tables.entries)
    bench.order(halted=halted)
    eventually(lambda: bench.tables.entries == {} and bench.held() == set() and bench.tables.leases[-1] == 0.0)


def test_a_failed_turn_renews_no_lease_and_the_next_one_does(bench: Bench) -> None:
    bench.order()
    eventually(lambda: bool(bench.tables.leases) and bench.tables.leases[-1] > 0)
    failures: list[int] = []

    def overlays() -> dict[int, list[Mount]]:
        failures.append(len(bench.tables.leases))
        raise OSError("no mount table")

    bench.watch.overlays = overlays  # type: ignore[method-assign]
    eventually(lambda: len(failures) >= 5)
    assert len(set(failures)) == 1
    bench.watch.overlays = dict  # type: ignore[method-assign]
    eventually(lambda: len(bench.tables.leases) > failures[0])


def test_closing_ends_all_blocking(bench: Bench) -> None:
    bench.order()
    bench.mount()
    eventually(lambda: DEV in bench.tables.entries)
    assert bench.blocker is not None
    bench.blocker.close()
    bench.blocker = None
    assert (bench.tables.entries, bench.tables.cleared) == ({}, 2)


def test_the_holder_learns_that_a_workload_is_past_the_kill_limit(bench: Bench) -> None:
    bench.order()
    bench.mount()
    eventually(lambda: bench.held() == {DEV})
    assert bench.blocker is not None
    hold: Any = bench.blocker._hold
    assert hold.denying == set()
    workload = workload_id(bench.blocker._containers.tracked[DEV].resolved.container)
    for content in ("a", "b"):
        bench.kill_limit.note_kill({"id": "1"}, workload, content)
    eventually(lambda: hold.denying == {DEV})
