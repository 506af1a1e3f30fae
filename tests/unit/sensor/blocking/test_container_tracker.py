from __future__ import annotations

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
    """Return the containers that were added and those that were removed."""
    gone = known.remove_unmounted(overlays)
    return known.add_mounted(overlays), gone


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


def test_when_many_containers_start_identified_ones_do_not_wait_for_the_rest(
    upper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_tracker, "IDENTIFY_SECONDS", -1.0)
    known = ContainerTracker([FakeRuntime()])
    many = {**overlay(upper), **overlay(upper, dev=DEV + 1)}
    assert update(known, many) == ({DEV}, set())
    assert known.next_retry() == 0.0
    assert update(known, many) == ({DEV + 1}, set())


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
