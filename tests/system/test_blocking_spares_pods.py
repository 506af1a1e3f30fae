"""Nothing of an image is ever stopped in pods of every shape, by a rule that blocks every kind of drift.

Mapped ids and image volumes take a containerd 2 with a kubelet's user namespaces: those are tried with podman alone
(test_blocking_spares). `BLOCKING_FULL=1` runs 10,000 of each image's programs and 1,000 touched ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from sensor.policy import KINDS
from tests.system import needs
from tests.system.blocking_bed import RAN, UNLIMITED, Bed, block_rule, kinds
from tests.system.podman import BUSYBOX, Podman
from tests.system.test_blocking_spares import RUNS, TOUCHED, split
from tests.unit.sensor.fake_portal import FakePortal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.node import Node, Pod

pytestmark = pytest.mark.container

PER_CALL = 200
"""Runs of one call of CRI, which is waited for 20 seconds."""


class Shape(NamedTuple):
    """A container's root, and the program of its image that it runs."""

    program: str
    read_only: bool = False


SHAPES = {
    "plain": Shape("/usr/bin/busybox-tool"),
    "declared volume": Shape("/srv/busybox-served"),
    "read-only root": Shape("/usr/bin/busybox-tool", read_only=True),
    "declared volume of a read-only root": Shape("/srv/busybox-served", read_only=True),
}


@pytest.fixture(scope="module")
def bed(podman: Podman, node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    if node.name != "containerd":
        pytest.skip("names containerd to the sensor")
    with FakePortal().serving() as portal, Bed(podman, portal, tmp_path_factory.mktemp("spares")) as made:
        made.publish(block_rule(podman, process_scope=kinds(*KINDS)))
        place = f"containerd={node.socket},{node.socket.parent}"
        made.start("--kills-per-minute", UNLIMITED, "--runtime", place)
        yield made


@pytest.fixture(scope="module")
def image(podman: Podman, node: Node, tmp_path_factory: pytest.TempPathFactory) -> str:
    runner = needs.tool(tmp_path_factory.mktemp("tools") / "run")
    files = {"/usr/bin/run": runner, "/usr/bin/busybox-tool": BUSYBOX, "/srv/busybox-served": BUSYBOX}
    reference = podman.image("blocked", files, declared=["/srv"])
    node.pull(reference)
    return reference


@pytest.fixture(scope="module")
def pod(node: Node) -> Pod:
    return node.pod("spared-7d9f5c6b4-x2kfz", "shop", {"app": "spared"}, uid="spared")


@pytest.mark.parametrize("name", SHAPES)
def test_no_program_of_the_image_is_stopped_touched_or_not(
    bed: Bed, node: Node, pod: Pod, image: str, name: str
) -> None:
    shape = SHAPES[name]
    container = node.start(pod, name.replace(" ", "-"), image, read_only=shape.read_only)
    # It is known once a memfd, which is stopped there by the kernel alone, no longer runs.
    bed.until(lambda: RAN not in node.output(container, f"run memfd /bin/busybox echo {RAN}"))
    run = f"{shape.program} echo {RAN}"
    for times in split(RUNS, PER_CALL):
        assert node.output(container, f"for i in $(seq {times}); do {run}; done").count(RAN) == times
    if not shape.read_only or shape.program.startswith("/srv"):
        for times in split(TOUCHED, PER_CALL):
            touched = f"for i in $(seq {times}); do touch {shape.program}; {run}; done"
            assert node.output(container, touched).count(RAN) == times
    reported = {event.process.path for event in bed.events("/") if event.container.id == container}
    assert reported == {"/memfd:payload"}
