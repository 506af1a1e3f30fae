"""Signals of who loads a library, copies itself into memory, or starts at once what it wrote."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from drift.alerts.domain.exec_signals import starts_what_it_wrote
from sensor import wire
from tests.unit.drift.alerts.conftest import event
from tests.unit.drift.alerts.test_priority_signals import AT, below, names, written


def test_a_library_in_a_server_is_its_module_and_one_in_another_program_is_not() -> None:
    """Nobody may know who wrote it: a module that came with the data of a database is such."""
    assert "server_library" in names(kind="library", process__via="/usr/local/bin/redis-server")
    assert "server_library" not in names(kind="library", process__via="/usr/bin/python3.12")
    assert "server_library" not in names(kind="library", **below("redis-server"))
    assert "server_library" not in names(process__via="/usr/sbin/nginx")


@pytest.mark.parametrize("runtime", ["runc", "buildkit-runc", "buildkitd", "containerd-shim-runc-v2"])
def test_the_copy_of_itself_that_a_container_runtime_starts_is_lowered(runtime: str) -> None:
    clone: dict[str, Any] = {"kind": "fileless", "process__path": "/memfd:runc_cloned:/proc/self/exe"}
    started: dict[str, Any] = {"process__parent": {"name": runtime[:15], "pid": 7, "path": f"/usr/bin/{runtime}"}}

    assert "runtime_clone" in names(**clone, **started)
    assert "runtime_clone" not in names(kind="new_file", process__path=clone["process__path"], **started)
    for path in ("/memfd:runc_cloned:x", "/memfd:x", "/memfd:runc_cloned"):
        assert "runtime_clone" not in names(kind="fileless", process__path=path, **started)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("runc", None),
        ("runc", "/tmp/.x/runc"),
        ("runc", "/home/app/bin/runc"),
        ("runc", "/app/runc"),
        ("runc", "/srv/usr/bin/runc"),
        ("runc", "/usr/bin/python3-x"),
        ("php-fpm", "/usr/sbin/php-fpm"),
    ],
)
def test_memory_that_is_named_like_the_copy_of_a_container_runtime_is_none_below_others(name: str, path: str) -> None:
    clone: dict[str, Any] = {"kind": "fileless", "process__path": "/memfd:runc_cloned:/proc/self/exe"}

    assert "runtime_clone" not in names(**clone, process__parent={"name": name, "pid": 7, "path": path})
    assert "runtime_clone" not in names(**clone, **below("runc"))


def test_the_copy_of_a_container_runtime_lowers_nothing_that_is_called_like_an_attack() -> None:
    clone: dict[str, Any] = {
        "kind": "fileless",
        "process__path": "/memfd:runc_cloned:/proc/self/exe",
        "process__parent": {"name": "runc", "pid": 7, "path": "/usr/local/sbin/runc"},
    }
    assert "runtime_clone" in names(**clone, process__argv=["runc", "init"])
    assert "runtime_clone" not in names(**clone, process__argv=["runc", "-o", "stratum+tcp://pool.example:3333"])


def test_who_wrote_and_started_a_file_is_a_runtime_within_a_minute() -> None:
    assert starts("node", "node")
    assert starts("python3", "python3.11")
    assert not starts("node", "node", seconds=61)
    assert not starts("node", "sh")
    assert not starts("curl", "curl")
    assert not starts("node", "python3")


def starts(writer: str, starter: str, seconds: float = 3) -> bool:
    changes = {
        "at": AT,
        "process__written_by": written(writer, seconds),
        "process__parent": {"name": starter, "pid": 7},
    }
    return starts_what_it_wrote(msgspec.convert(event(**changes), wire.Event))
