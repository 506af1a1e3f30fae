"""Filesystems whose files share their blocks (reflinks): a patched program is seen and stopped there as elsewhere."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.system import needs
from tests.system.blocking_bed import UNLIMITED, Bed, block_rule
from tests.system.patch_ways import patched
from tests.system.podman import Podman, unusable
from tests.unit.sensor.fake_portal import FakePortal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sensor.wire import Event

pytestmark = pytest.mark.container

TURNS = 20
WAYS = ("cloned", "written", "mapped", "direct")
VICTIM = "/usr/bin/victim"
FILESYSTEM_BYTES = 1024 * 1024 * 1024


@pytest.fixture(scope="module", params=["xfs", "btrfs"])
def mounted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A new filesystem, mounted."""
    make = f"mkfs.{request.param}"
    if reason := unusable():
        pytest.skip(reason)
    if shutil.which(make) is None:
        pytest.skip(f"needs {make}")
    directory = tmp_path_factory.mktemp(request.param)
    disk, point = directory / "disk", directory / "mounted"
    point.mkdir()
    with disk.open("wb") as file:
        file.truncate(FILESYSTEM_BYTES)
    subprocess.run([make, "-q", disk], check=True)
    subprocess.run(["mount", "-o", "loop", disk, point], check=True)
    yield point
    subprocess.run(["umount", "--lazy", point], check=True)


@pytest.fixture(scope="module")
def elsewhere(mounted: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """podman with its storage there."""
    options = ["--root", str(mounted / "boxes"), "--runroot", str(mounted / "run"), "--storage-driver=overlay"]
    with Podman(tmp_path_factory.mktemp("podman"), options) as podman:
        yield podman


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("tools")
    runner = needs.tool(directory / "run")
    patch = needs.tool(directory / "patch", source="patch.c")
    return {"/usr/bin/run": runner, VICTIM: runner, "/usr/bin/patch": patch}


@pytest.fixture(scope="module")
def bed(elsewhere: Podman, mounted: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with FakePortal().serving() as portal, Bed(elsewhere, portal, tmp_path_factory.mktemp("sensor")) as made:
        made.publish(block_rule(elsewhere))
        made.start("--kills-per-minute", UNLIMITED, "--runtime", f"podman={mounted / 'boxes'}")
        yield made


@pytest.mark.parametrize("way", WAYS)
def test_a_program_that_is_patched_on_such_a_filesystem_is_stopped(bed: Bed, tools: dict[str, Path], way: str) -> None:
    name = bed.warm(bed.podman.image(f"blocked-{way}", tools))
    assert bed.run(name, f"/usr/bin/patch {way} {TURNS} {VICTIM}") == f"killed {TURNS}\n"
    events = of_container(bed, name)
    assert {(event.kind, event.outcome) for event in events} == {("replaced", "blocked")}


@pytest.mark.parametrize("way", WAYS)
def test_each_run_of_it_is_reported_and_none_with_a_wrong_hash(bed: Bed, tools: dict[str, Path], way: str) -> None:
    """In a container that no rule blocks."""
    name = bed.podman.run(bed.podman.image(f"free-{way}", tools))
    assert bed.run(name, f"/usr/bin/patch {way} {TURNS} {VICTIM}") == "killed 0\n"
    events = of_container(bed, name)
    assert sorted(event.process.argv[1:] for event in events) == sorted(
        ["patched", str(n)] for n in range(1, TURNS + 1)
    )
    for event in events:
        assert event.process.sha256 in {None, patched(tools[VICTIM], int(event.process.argv[2]))}


def of_container(bed: Bed, name: str) -> list[Event]:
    """Return the events of the program in a container, once all have arrived."""

    def found() -> list[Event]:
        return [event for event in bed.events(VICTIM) if event.container.name == name]

    bed.until(lambda: sum(event.count for event in found()) >= TURNS)
    return found()
