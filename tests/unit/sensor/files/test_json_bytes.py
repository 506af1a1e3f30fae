"""JSON that a sensor reads is as expected, or is rejected with one exception."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from sensor.container import node_init
from sensor.container.bundle import runtime_mounts
from sensor.container.containerd import _read
from sensor.container.identify import Resolved
from sensor.container.root_filesystem import _named_root
from sensor.wire import Container, json_bytes

NESTED = b'{"more":' + b"[" * 100_000
UNREADABLE = (b"", b"{", b"\xff", b"[]", b'{"name": 7}', b'{"name": "\xff"}', b'{"\xff": 1}', NESTED)


class Named(msgspec.Struct, forbid_unknown_fields=True):
    name: str = ""


@pytest.mark.parametrize("data", UNREADABLE)
def test_what_cannot_be_read_is_one_kind_of_error(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        json_bytes.decode(data, Named)


@pytest.mark.parametrize("data", [NESTED, b'{"root": {"path": "\xff"}, "mounts": [{"destination": "\xff"}]}'])
def test_a_container_s_damaged_record_names_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "config.json").write_bytes(data)
    resolved = Resolved(Container(id="a1" * 32), complete=True, root_dev=1, layers=None, pid=1, bundle=tmp_path)

    assert runtime_mounts(resolved) == []
    assert _named_root(tmp_path) is None


@pytest.mark.parametrize("data", [NESTED, b'{"annotations": {"a": "\xff"}}'])
def test_a_container_of_containerd_with_a_damaged_record_is_left_to_cri(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "config.json").write_bytes(data)

    assert _read(tmp_path / "config.json") is None


def test_a_damaged_setting_of_docker_or_podman_leaves_the_other_s_init_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_init, "ROOTS", (tmp_path,))
    docker, podman = tmp_path / "etc/docker/daemon.json", tmp_path / "etc/containers/containers.conf"
    docker.parent.mkdir(parents=True)
    podman.parent.mkdir(parents=True)

    docker.write_bytes(NESTED)
    podman.write_text('[containers]\ninit_path = "/opt/podman-init"\n')
    assert node_init.is_init_program(b"/opt/podman-init")

    docker.write_text(json.dumps({"init-path": "/opt/docker-init"}))
    podman.write_text("more = " + "[" * 100_000)
    assert node_init.is_init_program(b"/opt/docker-init")
