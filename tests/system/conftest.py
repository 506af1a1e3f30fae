"""One running Driftwatch for the tests of this folder that need no other."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.stack import Stack


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets, removed afterwards unless KEEP is set (to read its logs)."""
    path = Path(tempfile.mkdtemp(prefix="dws-"))
    yield path
    if not os.environ.get("KEEP"):
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def stack(folder: Path) -> Iterator[Stack]:
    """Everything but sensors, stopped by SIGINT at the end."""
    running = Stack(folder / "data")
    running.start()
    yield running
    running.stop()
