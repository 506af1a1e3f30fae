"""Nothing of an image is ever stopped, in containers of every shape, by a rule that blocks every kind of drift.

`BLOCKING_FULL=1` runs 10,000 of each image's programs and 1,000 touched ones; without it a fiftieth.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from sensor.policy import KINDS
from tests.system import needs
from tests.system.blocking_bed import RAN, UNLIMITED, Bed, block_rule, kinds
from tests.system.podman import BUSYBOX, Podman
from tests.unit.sensor.fake_portal import FakePortal

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.container

FULL = os.environ.get("BLOCKING_FULL") == "1"
RUNS = 10_000 if FULL else 200
TOUCHED = 1_000 if FULL else 20
MOUNT = "--mount=type=image,source={image},destination=/model,rw=true"
PER_CALL = 500
"""Runs of one `podman exec`, which is waited for a minute."""


@dataclass(frozen=True)
class Shape:
    """A container: podman's options, with the image's name for `{image}`, and the program of the image that it runs."""

    options: tuple[str, ...] = ()
    program: str = "/usr/bin/busybox-tool"
    is_writable: bool = True


SHAPES = {
    "mapped ids": Shape(("--uidmap=0:100000:65536",)),
    "image volume": Shape(
        ("--mount=type=image,source={image},destination=/model,rw=true",), "/model/usr/bin/busybox-tool"
    ),
    "declared volume": Shape(program="/srv/busybox-served"),
    "read-only root": Shape(("--read-only",), is_writable=False),
}


@pytest.fixture(scope="module")
def bed(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with FakePortal().serving() as portal, Bed(podman, portal, tmp_path_factory.mktemp("spares")) as made:
        made.publish(block_rule(podman, process_scope=kinds(*KINDS)))
        made.start("--kills-per-minute", UNLIMITED)
        yield made


@pytest.fixture(scope="module")
def image(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> str:
    runner = needs.tool(tmp_path_factory.mktemp("tools") / "run")
    files = {"/usr/bin/run": runner, "/usr/bin/busybox-tool": BUSYBOX, "/srv/busybox-served": BUSYBOX}
    return podman.image("blocked", files, declared=["/srv"])


@pytest.mark.parametrize("name", SHAPES)
def test_no_program_of_the_image_is_stopped_touched_or_not(bed: Bed, image: str, name: str) -> None:
    shape = SHAPES[name]
    container = bed.podman.run(image, options=[option.format(image=image) for option in shape.options])
    # It is known once a memfd, which is stopped there by the kernel alone, no longer runs.
    bed.until(lambda: RAN not in bed.run(container, f"run memfd /bin/busybox echo {RAN}"))
    run = f"{shape.program} echo {RAN}"
    for times in split(RUNS):
        assert bed.run(container, f"for i in $(seq {times}); do {run}; done").count(RAN) == times
    if shape.is_writable:
        for times in split(TOUCHED):
            touched = f"for i in $(seq {times}); do touch {shape.program}; {run}; done"
            assert bed.run(container, touched).count(RAN) == times
    reported = {event.process.path for event in bed.events("/") if event.container.name == container}
    assert reported == {"/memfd:payload"}


def split(times: int, per_call: int = PER_CALL) -> list[int]:
    """Return the runs of each call."""
    return [min(per_call, times - done) for done in range(0, times, per_call)]
