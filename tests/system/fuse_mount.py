"""A FUSE filesystem on this node, whose server may be killed: as dead containers on fuse-overlayfs leave them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Self

import pytest

from sensor.container.mounts import read_mounts

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 30.0


class FuseMount:
    """A fuse-overlayfs at `merged` below an empty directory, which is unmounted on leaving the `with`."""

    def __init__(self, directory: Path) -> None:
        if shutil.which("fuse-overlayfs") is None:
            pytest.skip("needs fuse-overlayfs")
        parts = {name: directory / name for name in ("lower", "upper", "work", "merged")}
        for part in parts.values():
            part.mkdir()
        self.point = parts["merged"]
        layers = f"lowerdir={parts['lower']},upperdir={parts['upper']},workdir={parts['work']}"
        self._server = subprocess.Popen(["fuse-overlayfs", "-f", "-o", layers, self.point])

    def __enter__(self) -> Self:
        until = time.monotonic() + PATIENCE
        while not any(mount.point == os.fsencode(self.point) for mount in read_mounts(os.getpid())):
            assert time.monotonic() < until, "fuse-overlayfs did not mount"
            assert self._server.poll() is None, "fuse-overlayfs has ended"
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", self.point], check=False)
        self.kill_server()

    def kill_server(self) -> None:
        """Leave the mount alone, without anybody who answers for it."""
        self._server.kill()
        self._server.wait()
