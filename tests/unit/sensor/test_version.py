"""Sensor and portal report release and commit, from a checkout or a build, without ever failing."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import sensor
from sensor import __version__
from sensor.version import VERSION, full_version

COMMIT = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
FULL = f"{__version__}+g1a2b3c4d"
ROOT = Path(sensor.__file__).parents[1]


@pytest.fixture
def git(tmp_path: Path) -> Path:
    """The .git directory of a checkout on a branch."""
    directory = tmp_path / ".git"
    (directory / "refs/heads").mkdir(parents=True)
    (directory / "HEAD").write_text("ref: refs/heads/main\n")
    return directory


def version(root: Path) -> str:
    return full_version(root / "sensor")


def test_without_a_checkout_or_a_built_commit_it_is_the_release(tmp_path: Path) -> None:
    assert version(tmp_path) == __version__


def test_a_build_names_its_commit(tmp_path: Path) -> None:
    (tmp_path / "sensor").mkdir()
    (tmp_path / "sensor/COMMIT").write_text(f"{COMMIT}\n")
    assert version(tmp_path) == FULL


def test_a_checkout_names_the_commit_of_its_branch(git: Path) -> None:
    (git / "refs/heads/main").write_text(f"{COMMIT}\n")
    assert version(git.parent) == FULL


def test_a_detached_head_names_its_commit(git: Path) -> None:
    (git / "HEAD").write_text(f"{COMMIT}\n")
    assert version(git.parent) == FULL


def test_a_packed_branch_is_found(git: Path) -> None:
    other = COMMIT.replace("1", "9")
    (git / "packed-refs").write_text(f"# pack-refs\n{other} refs/heads/main2\n^{other}\n{COMMIT} refs/heads/main\n")
    assert version(git.parent) == FULL


def test_a_linked_worktree_has_its_own_head_and_the_repository_s_branches(git: Path, tmp_path: Path) -> None:
    linked, own = tmp_path / "linked", git / "worktrees/linked"
    own.mkdir(parents=True)
    linked.mkdir()
    (linked / ".git").write_text(f"gitdir: {own}\n")
    (own / "HEAD").write_text("ref: refs/heads/topic\n")
    (own / "commondir").write_text("../..\n")
    (git / "refs/heads/topic").write_text(f"{COMMIT}\n")
    assert version(linked) == FULL


@pytest.mark.parametrize("damaged", [b"", b"not a commit\n", b"\xff\xfe", b"ref: refs/heads/none\n", b"x" * 5_000_000])
def test_an_unreadable_repository_leaves_the_release(git: Path, damaged: bytes) -> None:
    (git / "HEAD").write_bytes(damaged)
    assert version(git.parent) == __version__


def test_a_repository_without_a_commit_leaves_the_release(git: Path) -> None:
    assert version(git.parent) == __version__


def test_it_fits_into_a_heartbeat() -> None:
    assert VERSION.startswith(__version__)
    assert len(VERSION) <= 64


def test_the_command_prints_it() -> None:
    command = [sys.executable, "-m", "sensor", "--version"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == f"driftwatch-sensor {VERSION}\n"


def test_no_other_file_states_a_version() -> None:
    for name in ("pyproject.toml", "deploy/sensor/pyproject.toml"):
        project = tomllib.loads((ROOT / name).read_text())["project"]
        assert (project.get("version"), "version" in project["dynamic"]) == (None, True)
    assert f"newTag: {__version__}\n" in (ROOT / "deploy/sensor/kustomization.yaml").read_text()
