"""What a runtime mounted into a container, according to its own record."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import NoReturn

import pytest

from sensor.container import bundle, oci_config
from sensor.container.bundle import mount_maker, mount_points, mount_source, real_mount_points
from sensor.container.identify import Resolved
from sensor.container.mounts import Mount
from sensor.container.oci_config import runtime_devices
from sensor.wire import Container


@pytest.fixture
def resolved(tmp_path: Path) -> Resolved:
    (tmp_path / "here").symlink_to(tmp_path)
    config = {"mounts": [{"destination": str(tmp_path / "here")}, {"destination": "/none"}]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return Resolved(Container(id="a1" * 32), complete=True, root_dev=1, layers=None, pid=os.getpid(), bundle=tmp_path)


def test_a_mount_is_where_its_path_resolves_to(resolved: Resolved, tmp_path: Path) -> None:
    assert mount_points(resolved) == real_mount_points(resolved) == frozenset({bytes(tmp_path), b"/none"})


@pytest.mark.parametrize("named", ["/none/", "none", "//none", "/x/../none/./"])
def test_a_mount_is_known_however_its_path_is_written(resolved: Resolved, tmp_path: Path, named: str) -> None:
    mounts = [{"destination": named, "source": "/node"}]
    (tmp_path / "config.json").write_text(json.dumps({"mounts": mounts}))
    assert mount_points(resolved) == frozenset({b"/none"})
    assert mount_source(resolved, b"/none") == b"/node"


@pytest.mark.parametrize(("dev", "maker"), [(8, "runtime"), (9, "container")])
@pytest.mark.parametrize("pid", [5, 6, 7])
def test_a_mount_over_the_runtime_s_is_known_though_its_process_is_gone_or_in_a_chroot(
    resolved: Resolved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pid: int, dev: int, maker: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"mounts": [{"destination": "/data"}]}))
    over = [Mount(3, 9, b"/", b"/", b"tmpfs", b"")]
    below = [Mount(2, 8, b"/", b"/data", b"ext4", b"")]
    # What its own root has there: a chroot's `/data` is wherever the container put it.
    decoy = [Mount(4, 9, b"/", b"/data", b"tmpfs", b"")]
    monkeypatch.setattr(bundle, "read_mounts", {5: [], 6: over, 7: decoy, resolved.pid: below}.get)
    assert mount_maker(resolved, pid, b"/data", dev) == maker


@pytest.mark.parametrize(("dev", "maker"), [(8, "runtime"), (9, "container")])
def test_a_mount_is_looked_up_by_its_own_process_where_the_container_s_first_is_gone(
    resolved: Resolved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dev: int, maker: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"mounts": [{"destination": "/data"}]}))
    monkeypatch.setattr(bundle, "read_mounts", {5: [Mount(2, 8, b"/", b"/data", b"ext4", b"")], resolved.pid: []}.get)
    assert mount_maker(resolved, 5, b"/data", dev) == maker


def test_filesystems_that_do_not_answer_are_tried_again(
    resolved: Resolved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object, payer: str) -> NoReturn:
        assert payer == resolved.container.id
        raise TimeoutError

    with monkeypatch.context() as patched:
        patched.setattr(bundle, "in_time", silent)
        assert mount_points(resolved) == frozenset({bytes(tmp_path / "here"), b"/none"})
        with pytest.raises(TimeoutError):
            real_mount_points(resolved)
    assert real_mount_points(resolved) == frozenset({bytes(tmp_path), b"/none"})


@pytest.mark.parametrize(("dev", "maker"), [(8, "runtime"), (9, "container")])
@pytest.mark.parametrize("pid", [5, 7])
def test_a_mount_over_the_runtime_s_is_known_though_no_process_is_left_that_sees_both(
    resolved: Resolved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pid: int, dev: int, maker: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"mounts": [{"destination": "/data"}]}))
    first = [Mount(2, 8, b"/", b"/data", b"ext4", b""), Mount(5, 9, b"/", b"/data", b"tmpfs", b"")]
    decoy = [Mount(4, 9, b"/", b"/data", b"tmpfs", b"")]
    seen_by = {4: first, 5: [], 7: decoy, resolved.pid: []}.get
    monkeypatch.setattr(bundle, "read_mounts", seen_by)
    monkeypatch.setattr(oci_config, "read_mounts", seen_by)
    seen = dataclasses.replace(resolved, mounted=runtime_devices(tmp_path, 4))
    assert mount_maker(seen, pid, b"/data", dev) == maker


def test_a_record_that_never_ends_or_answers_is_not_read(resolved: Resolved, tmp_path: Path) -> None:
    # Of a user without root, who has its storage.
    (tmp_path / "config.json").unlink()
    os.mkfifo(tmp_path / "config.json")
    assert mount_points(resolved) is None
    assert runtime_devices(tmp_path, os.getpid()) == {}
