"""What a test run left that was killed: its mounts, which a sensor of a later run would find and ask about."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from sensor.container.mounts import read_mounts


def unmount_leftovers() -> None:
    """Unmount everything below pytest's directories whose process has ended, the last mounted first."""
    places = [
        os.fsencode(path) + b"/"
        for path in Path(tempfile.gettempdir()).glob("pytest-of-*/*-*")
        if not path.is_symlink() and not _is_running(path)
    ]
    for mount in reversed(read_mounts(os.getpid())):
        if mount.point.startswith(tuple(places)):
            subprocess.run(["umount", "--lazy", mount.point], check=False, capture_output=True)


def _is_running(directory: Path) -> bool:
    """Whether the pytest that made this directory runs: its lock holds a process id, and goes with it."""
    try:
        os.kill(int((directory / ".lock").read_text()), 0)
    except (OSError, ValueError):
        return False
    return True
