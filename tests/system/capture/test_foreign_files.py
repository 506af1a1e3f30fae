"""A file of another container: whose it is, and that it is not taken for the container's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sensor.container.podman import PodmanRuntime
from tests.system.capture.bed import BACKENDS, Collector, PodmanBox, Watch, app_files, collectors, note
from tests.system.capture.lines import OTHERS_CAUGHT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.podman import Podman

pytestmark = [pytest.mark.container, pytest.mark.parametrize("backend", BACKENDS)]


class Neighbours:
    """A container that sees the node's processes, and another one with an image of its own."""

    def __init__(
        self, podman: Podman, seen_by: dict[str, Collector], files: dict[str, str | Path], altered: Path
    ) -> None:
        waits: dict[str, str | Path] = {"/opt/waits.sh": "#!/bin/sh\nsleep 1\n"}  # until the fallback has looked
        self.other_image = podman.image("neighbour", files | waits)
        other = podman.run(self.other_image)
        podman.cp(altered, other, "/tmp/busybox-theirs")
        self.other = podman.id(other)
        self.root = f"/proc/{podman.pid(other)}/root"
        own = podman.run(
            podman.image("intruder", files | {"/opt/entry.sh": "#!/bin/sh\nexit 1\n"}),
            options=["--privileged", "--pid=host"],
        )
        self.watch = Watch(PodmanBox(podman, own), seen_by, altered)


@pytest.fixture(scope="module")
def neighbours(podman: Podman, runner: Path, altered: Path) -> Iterator[Neighbours]:
    found = collectors([PodmanRuntime()])
    yield Neighbours(podman, found, app_files(runner), altered)
    for collector in found.values():
        collector.close()


def test_another_container_s_image_file_is_reported_with_its_image(
    neighbours: Neighbours, backend: str, request: pytest.FixtureRequest
) -> None:
    event = neighbours.watch.only(f"{neighbours.root}/bin/busybox sleep 1", backend)
    origin = event.process.file_origin
    assert origin is not None
    assert (event.kind, event.process.path) == ("foreign_mount", f"/container:{neighbours.other[:12]}/bin/busybox")
    assert (origin.container_id, origin.image_name) == (neighbours.other, neighbours.other_image)
    assert origin.is_image_file is (True if backend == "ebpf" else None)
    assert event.container.id == neighbours.watch.box.id
    note(request, OTHERS_CAUGHT[0], "podman", backend, [event.kind], [True])


def test_so_is_a_file_that_is_new_there_too(neighbours: Neighbours, backend: str) -> None:
    event = neighbours.watch.only(f"{neighbours.root}/tmp/busybox-theirs sleep 1", backend)
    origin = event.process.file_origin
    assert origin is not None
    assert (event.kind, event.process.name) == ("foreign_mount", "busybox-theirs")
    assert origin.is_image_file is (False if backend == "ebpf" else None)


def test_a_script_of_another_container_is_named_the_same_way(
    neighbours: Neighbours, backend: str, request: pytest.FixtureRequest
) -> None:
    events = neighbours.watch.drift(f"{neighbours.root}/opt/waits.sh", backend)
    assert {(event.kind, event.process.path) for event in events} == {
        ("script", f"/container:{neighbours.other[:12]}/opt/waits.sh")
    }
    note(request, OTHERS_CAUGHT[1], "podman", backend, ["script"], [True])


def test_the_other_container_s_own_execs_stay_its_own(neighbours: Neighbours, podman: Podman, backend: str) -> None:
    assert neighbours.watch.drift("/bin/busybox true; /opt/entry.sh", backend) == []
    podman.command("exec", neighbours.other, "/bin/busybox", "true")
    assert neighbours.watch.drift(f"true # {backend}", backend) == []
