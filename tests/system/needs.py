"""What tests need on the machine: if it is missing they are skipped with the reason."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.system import containerd, crio, podman

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.node import Node

TOOLS = Path(__file__).with_name("tools")
NODE: type[Node] = crio.Crio if crio.PROGRAM else containerd.Containerd
"""Whose pods are tested: containerd's, unless the environment names a CRI-O."""


@contextlib.contextmanager
def podman_in(directory: Path) -> Iterator[podman.Podman]:
    """A separate podman, with an empty directory."""
    if reason := podman.unusable():
        pytest.skip(reason)
    with podman.Podman(directory) as made:
        yield made


@contextlib.contextmanager
def node_in(directory: Path, images: podman.Podman) -> Iterator[Node]:
    """A separate pod runtime, which takes its images from a podman."""
    if reason := NODE.unusable():
        pytest.skip(reason)
    with NODE(directory, images) as made:
        yield made


def tool(program: Path, *options: str, source: str = "run.c") -> Path:
    """Compile one of the tools, static unless `options` say otherwise; returns the program."""
    compiler = next(filter(None, map(shutil.which, ("clang-14", "gcc", "cc"))), None)
    if compiler is None:
        pytest.skip("needs a C compiler (clang-14)")
    subprocess.run([compiler, *(options or ("-static", "-O1")), "-o", program, TOOLS / source], check=True)
    return program
