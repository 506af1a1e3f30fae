"""Under a blocking rule: a program of the image that is patched in any way never runs so, and each kill is reported."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.system import needs
from tests.system.blocking_bed import RAN, UNLIMITED, Bed, block_rule
from tests.system.patch_ways import MAPPED, OF_PRIVILEGED, WAYS
from tests.unit.sensor.fake_portal import FakePortal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.podman import Podman

pytestmark = pytest.mark.container

TURNS = 60 if os.environ.get("BLOCKING_FULL") else 10
ALLOWED_HASH = ["sha256:" + "0" * 64]


@pytest.fixture(scope="module")
def image(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("tools")
    runner = needs.tool(directory / "run")
    files = {"/usr/bin/run": runner, "/usr/bin/patch": needs.tool(directory / "patch", source="patch.c")}
    return podman.image(
        "blocked-writes", files | {f"/usr/bin/victim-{way}": runner for way in (*WAYS, *OF_PRIVILEGED, "evicted")}
    )


@pytest.fixture(scope="module", params=["always", "by its hash"])
def bed(request: pytest.FixtureRequest, podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A sensor that blocks all drift, or all but what an allow list names: then only a check can tell."""
    with FakePortal().serving() as portal, Bed(podman, portal, tmp_path_factory.mktemp("writes")) as made:
        allowed = ALLOWED_HASH if request.param == "by its hash" else []
        made.publish(block_rule(podman, allow_list=allowed))
        made.start("--kills-per-minute", UNLIMITED)
        yield made


@pytest.fixture(scope="module")
def container(bed: Bed, image: str) -> str:
    return bed.warm(image)


@pytest.fixture(scope="module")
def privileged(bed: Bed, image: str) -> str:
    return bed.warm(image, options=["--privileged"])


@pytest.mark.parametrize("way", OF_PRIVILEGED)
def test_nor_does_one_that_a_loop_device_or_a_ring_of_the_kernel_s_writes_to(
    bed: Bed, privileged: str, way: str
) -> None:
    victim = f"/usr/bin/victim-{way}"
    assert RAN in bed.run(privileged, f"{victim} -- /bin/busybox echo {RAN}")
    assert bed.run(privileged, f"/usr/bin/patch {way} {TURNS} {victim}") == f"killed {TURNS}\n"
    events = bed.await_events(victim, TURNS)
    assert {(event.kind, event.outcome) for event in events} == {("replaced", "blocked")}


def test_nor_does_one_whose_writer_the_kernel_program_forgot(bed: Bed, container: str) -> None:
    """By then the hold server knows that the file was open for writing."""
    victim = "/usr/bin/victim-evicted"
    assert RAN in bed.run(container, f"{victim} -- /bin/busybox echo {RAN}")
    assert bed.run(container, f"/usr/bin/patch evicted 1 {victim}") == "killed 1\n"


@pytest.mark.parametrize("way", WAYS)
def test_a_patched_image_program_never_runs_and_each_kill_is_reported(bed: Bed, container: str, way: str) -> None:
    victim = f"/usr/bin/victim-{way}"
    # First as the image has it: from then on it is not held any more.
    assert RAN in bed.run(container, f"{victim} -- /bin/busybox echo {RAN}")
    killed = TURNS + (way in MAPPED)
    assert bed.run(container, f"/usr/bin/patch {way} {TURNS} {victim}") == f"killed {killed}\n"
    events = bed.await_events(victim, killed)
    assert {(event.kind, event.outcome) for event in events} == {("replaced", "blocked")}
    assert sum(event.count for event in events) == killed


def test_a_restored_or_touched_program_of_the_image_runs(bed: Bed, container: str) -> None:
    restored = "cat /usr/bin/run > /usr/bin/victim-written"
    assert RAN in bed.run(container, f"{restored}; /usr/bin/victim-written -- /bin/busybox echo {RAN}")
    assert bed.run(container, f"/usr/bin/patch clean {TURNS} /usr/bin/victim-written") == "killed 0\n"
