"""Files that an exec names, found in the mount namespace of a process: here, the test's own."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from sensor.container.identify import Resolved
from sensor.container.mounts import mount_namespace
from sensor.container.overlay import Layers
from sensor.files.handles import FileStatus
from sensor.judgement import exec_files
from sensor.judgement.exec_files import LocatedFile, locate
from sensor.judgement.image_layers import open_in_upper
from sensor.record import Record
from sensor.wire import Container
from tests.unit.sensor.records import record

HERE = os.getpid()


def named(directory: Path, **changes: Any) -> Record:
    """Return an exec by this process in `directory`."""
    inum = mount_namespace(HERE)
    facts: dict[str, Any] = {"pid": HERE, "namespace_inum": inum, "cwd": bytes(directory), "ancestors": ()}
    return record(**{**facts, **changes})


def find(ran: Record, name: bytes) -> LocatedFile | None:
    return locate(ran, Resolved(Container(id="a1" * 32), complete=True, root_dev=1, layers=None, pid=HERE), name)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def deep(directory: Path) -> bytes:
    """Create a script whose real path is longer than PATH_MAX; return a short name for it, through symlinks."""
    at = os.open(directory, os.O_RDONLY)
    whole = b""
    for number in range(24):
        os.mkdir(b"d" * 200, dir_fd=at)
        below = os.open(b"d" * 200, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at, whole = below, whole + b"d" * 200 + b"/"
        if number == 11:
            (directory / "half").symlink_to(os.fsdecode(whole))
            whole = b"half/"
    os.close(os.open(b"run.sh", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    return whole + b"run.sh"


class TestDescriptors:
    def test_none_is_left_open_for_a_path_that_is_too_long(self, tmp_path: Path) -> None:
        name = deep(tmp_path)
        before = open_descriptors()
        for _ in range(3):
            assert find(named(tmp_path), name) is None
        assert open_descriptors() == before

    def test_none_is_left_open_for_a_file_that_cannot_be_examined(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(_: int) -> FileStatus:
            raise OSError(errno.EIO, "no answer")

        (tmp_path / "run.sh").write_bytes(b"#!/bin/sh\n")
        monkeypatch.setattr(exec_files, "file_status", refused)
        before = open_descriptors()
        assert find(named(tmp_path), b"run.sh") is None
        assert open_descriptors() == before

    def test_none_is_left_open_where_attributes_cannot_be_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(_: int) -> list[str]:
            raise OSError("too many attributes")

        (tmp_path / "x").write_text("evil")
        monkeypatch.setattr(os, "listxattr", fails)
        before = open_descriptors()
        assert open_in_upper(Layers((), bytes(tmp_path)), b"/x") is None
        assert open_descriptors() == before
