from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from sensor.blocking import container_tracker
from sensor.blocking.container_tracker import ContainerTracker
from sensor.container.base import Found, RuntimeMount
from sensor.container.identify import Resolved
from sensor.container.mounts import Mount
from sensor.wire import Container

ID = "c" * 64
DEV = 41


class FakeRuntime:
    """Knows the container mounted at /merged, and describes it in full from call `after` on."""

    name = "fake"

    def __init__(self, after: int = 0) -> None:
        self.asked, self._after = 0, after

    def mounted_container_id(self, point: bytes) -> str | None:
        return ID if point == b"/merged" else None

    def find(self, container_id: str) -> Found | None:
        self.asked += 1
        return Found(Container(id=container_id, name="app"), complete=self.asked > self._after)


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    (tmp_path / "upper").mkdir()
    return tmp_path / "upper"


def overlay(upper: Path, point: bytes = b"/merged", dev: int = DEV) -> dict[int, list[Mount]]:
    options = b"lowerdir=" + bytes(upper.parent) + b",upperdir=" + bytes(upper)
    return {
        dev: [Mount(1, dev, b"/", b"/elsewhere", b"overlay", options), Mount(2, dev, b"/", point, b"overlay", options)]
    }


def update(known: ContainerTracker, overlays: dict[int, list[Mount]]) -> tuple[set[int], set[int]]:
    """Return the containers that were added, once all runtimes have answered, and those that were removed."""
    gone = known.remove_unmounted(overlays)
    return known.add_mounted(overlays) | answers(known, overlays), gone


def answers(known: ContainerTracker, overlays: dict[int, list[Mount]]) -> set[int]:
    """Return the containers that are identified once every query that has begun is answered."""
    until = time.monotonic() + 30.0
    while any(retry.query is not None and not retry.query.is_done for retry in known._retries.values()):
        assert time.monotonic() < until
        time.sleep(0.001)
    return known.add_mounted(overlays)


def test_a_container_is_found_by_the_mount_point_of_its_filesystem(upper: Path) -> None:
    known = ContainerTracker([FakeRuntime()])
    assert update(known, overlay(upper)) == ({DEV}, set())
    tracked = known.tracked[DEV]
    assert (tracked.resolved.container.name, tracked.upper_ino) == ("app", upper.stat().st_ino)
    assert known.next_retry() is None
    assert update(known, overlay(upper)) == (set(), set())


def test_an_unmounted_container_is_forgotten(upper: Path) -> None:
    known = ContainerTracker([FakeRuntime()])
    update(known, overlay(upper))
    assert update(known, {}) == (set(), {DEV})
    assert known.tracked == {}


def test_another_filesystem_with_the_same_device_number_is_another_container(upper: Path, tmp_path: Path) -> None:
    known = ContainerTracker([FakeRuntime()])
    update(known, overlay(upper))
    (tmp_path / "other").mkdir()
    assert update(known, overlay(tmp_path / "other")) == ({DEV}, {DEV})
    assert known.tracked[DEV].upper_ino == (tmp_path / "other").stat().st_ino


def test_a_partly_identified_container_is_looked_up_again_and_not_tracked(upper: Path) -> None:
    known = ContainerTracker([FakeRuntime(after=1)])
    assert update(known, overlay(upper)) == (set(), set())
    assert update(known, overlay(upper)) == (set(), set())
    assert known.next_retry() is not None
    known._retries[DEV].at = 0.0
    assert update(known, overlay(upper)) == ({DEV}, set())


def test_a_container_is_expected_once_and_before_any_runtime_lookup(upper: Path) -> None:
    runtime = FakeRuntime(after=2)
    known = ContainerTracker([runtime])
    told: list[tuple[int, bytes, int]] = []
    for _ in range(3):
        known.add_mounted(overlay(upper), lambda dev, point: told.append((dev, point, runtime.asked)))
        answers(known, overlay(upper))
        if DEV in known._retries:
            known._retries[DEV].at = 0.0
    assert told == [(DEV, b"/merged", 0)]


def test_a_mount_of_no_runtime_is_not_expected(upper: Path) -> None:
    told: list[int] = []
    ContainerTracker([FakeRuntime()]).add_mounted(overlay(upper, b"/home/me/overlay"), lambda dev, _: told.append(dev))
    assert told == []


def test_a_reused_device_number_does_not_inherit_a_retry_delay(upper: Path, tmp_path: Path) -> None:
    known = ContainerTracker([FakeRuntime()])
    update(known, overlay(upper, b"/home/me/overlay"))
    (tmp_path / "other").mkdir()
    assert update(known, overlay(tmp_path / "other")) == ({DEV}, set())


class TogetherRuntime(FakeRuntime):
    """Answers about none of its containers before it was asked about all."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._all_asked = threading.Barrier(number)

    def find(self, container_id: str) -> Found | None:
        self._all_asked.wait(30.0)
        return super().find(container_id)


def test_containers_that_start_side_by_side_do_not_wait_for_each_other_s_answers(upper: Path) -> None:
    known = ContainerTracker([TogetherRuntime(12)])
    twelve = {dev: overlay(upper, dev=dev)[dev] for dev in range(DEV, DEV + 12)}
    assert update(known, twelve) == (set(range(DEV, DEV + 12)), set())


def test_the_caller_is_woken_by_an_answer_and_never_waits_for_one(upper: Path) -> None:
    woken, may_answer = threading.Event(), threading.Barrier(2)

    class Slow(FakeRuntime):
        def find(self, container_id: str) -> Found | None:
            may_answer.wait(30.0)
            return super().find(container_id)

    known = ContainerTracker([Slow()], woken.set)
    assert known.add_mounted(overlay(upper)) == set()
    assert known.next_retry() is None
    assert not woken.is_set()
    may_answer.wait(30.0)
    assert woken.wait(30.0)
    assert known.next_retry() == 0.0
    assert known.add_mounted(overlay(upper)) == {DEV}


def test_a_runtime_that_fails_about_one_container_is_asked_again(upper: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeRuntime):
        def find(self, container_id: str) -> Found | None:
            self.asked += 1
            if self.asked == 1:
                raise ValueError("a record that nobody expected")
            return super().find(container_id)

    known = ContainerTracker([Broken()])
    assert update(known, overlay(upper)) == (set(), set())
    assert "could not be identified" in caplog.text
    known._retries[DEV].at = 0.0
    assert update(known, overlay(upper)) == ({DEV}, set())


def test_an_answer_about_a_filesystem_whose_device_number_is_another_s_by_now_counts_for_nothing(
    upper: Path, tmp_path: Path
) -> None:
    known = ContainerTracker([FakeRuntime()])
    known.add_mounted(overlay(upper))
    (tmp_path / "other").mkdir()
    update(known, overlay(tmp_path / "other"))
    assert known.tracked[DEV].upper_ino == (tmp_path / "other").stat().st_ino


def test_a_mount_of_no_runtime_is_not_tracked(upper: Path) -> None:
    known = ContainerTracker([FakeRuntime()])
    assert update(known, overlay(upper, b"/home/me/overlay")) == (set(), set())


def test_the_sensor_s_own_root_is_not_tracked(upper: Path) -> None:
    own = Path("/").stat().st_dev
    known = ContainerTracker([FakeRuntime()])
    assert update(known, overlay(upper, dev=own)) == (set(), set())


def test_an_exec_reveals_the_runtime_s_mounts(upper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def inside(number: int, dev: int, point: bytes) -> Mount:
        return Mount(number, dev, b"/", point, b"ext4", b"rw")

    mounts = [inside(1, DEV, b"/"), inside(2, 7, b"/data"), inside(3, 8, b"/mnt"), inside(4, 9, b"/data")]
    monkeypatch.setattr(container_tracker, "read_mounts", lambda _: mounts)
    monkeypatch.setattr(
        container_tracker, "real_mount_points", lambda _: frozenset({b"/", b"/data", b"/run/podman-init"})
    )
    made = [RuntimeMount("/run/podman-init", "/usr/bin/catatonit"), RuntimeMount("/data", "/srv/data")]
    monkeypatch.setattr(container_tracker, "runtime_mounts", lambda _: made)
    resolved = Resolved(Container(id=ID), complete=True, root_dev=DEV, layers=None, pid=1)
    for met_before in (True, False):
        known = ContainerTracker([FakeRuntime(after=1 if met_before else 0)])
        update(known, overlay(upper))
        assert known.meet(resolved) == (None if met_before else DEV)
        if met_before:
            known._retries[DEV].at = 0.0
            update(known, overlay(upper))
        assert known.tracked[DEV].volumes == (7,)
        assert known.tracked[DEV].spares_volumes
        assert known.meet(resolved) is None


def test_nothing_is_learned_from_a_process_that_now_belongs_to_another_container(
    upper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = [Mount(1, DEV + 1, b"/", b"/", b"overlay", b"rw"), Mount(2, 7, b"/", b"/data", b"ext4", b"rw")]
    monkeypatch.setattr(container_tracker, "read_mounts", lambda _: mounts)
    monkeypatch.setattr(container_tracker, "real_mount_points", lambda _: frozenset({b"/data"}))
    known = ContainerTracker([FakeRuntime()])
    update(known, overlay(upper))
    assert known.meet(Resolved(Container(id=ID), complete=True, root_dev=DEV, layers=None, pid=1)) is None
    assert known.tracked[DEV].volumes is None


def test_nothing_is_foreign_while_the_runtime_s_mounts_cannot_be_resolved(
    upper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_: Resolved) -> frozenset[bytes]:
        raise TimeoutError

    monkeypatch.setattr(container_tracker, "read_mounts", lambda _: [Mount(1, DEV, b"/", b"/", b"overlay", b"rw")])
    monkeypatch.setattr(container_tracker, "real_mount_points", silent)
    known = ContainerTracker([FakeRuntime()])
    update(known, overlay(upper))
    assert known.meet(Resolved(Container(id=ID), complete=True, root_dev=DEV, layers=None, pid=1)) is None
    assert known.tracked[DEV].volumes is None
