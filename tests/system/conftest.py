"""Shared fixtures: one running Driftwatch, one podman and one pod runtime."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import needs
from tests.system.leftovers import unmount_leftovers
from tests.system.node import Node
from tests.system.podman import Podman
from tests.system.stack import Stack


@pytest.fixture(scope="session", autouse=True)
def _no_leftovers() -> None:
    unmount_leftovers()


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory whose path is short enough for sockets, removed afterwards unless KEEP is set (to read its logs)."""
    path = Path(tempfile.mkdtemp(prefix="dws-"))
    yield path
    if not os.environ.get("KEEP"):
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def stack(directory: Path) -> Iterator[Stack]:
    """Everything but sensors; stopped with SIGINT at the end."""
    running = Stack(directory / "data")
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    with needs.podman_in(tmp_path_factory.mktemp("podman")) as made:
        yield made


@pytest.fixture(scope="module")
def node(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with needs.node_in(tmp_path_factory.mktemp("node"), podman) as made:
        yield made
