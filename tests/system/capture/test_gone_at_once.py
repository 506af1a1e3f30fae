"""Files that are unlinked as they run: each is hashed all the same, by what was executed.

`GONE_FULL=1` runs 2,000 of each.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import bench
from sensor.capture.ebpf import EbpfCapture, open_ebpf
from sensor.capture.errors import CaptureUnavailable
from sensor.container.podman import PodmanRuntime
from tests.system import needs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sensor.wire import Event
    from tests.system.node import Node
    from tests.system.podman import Podman

pytestmark = pytest.mark.container

COUNT: Final = 2_000 if os.environ.get("GONE_FULL") == "1" else 200
PATIENCE: Final = 30.0
STORM: Final = str(Path(bench.__file__).with_name("sensor_storm.c"))
"""`storm unlink N FILE` copies a file N times with another end, and unlinks each copy as soon as it runs."""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | Path]:
    directory = tmp_path_factory.mktemp("storm")
    small = needs.tool(directory / "small", "-static", "-nostdlib", "-DSMALL", source=STORM)
    return {"/storm": needs.tool(directory / "storm", source=STORM), "/small": small}


@pytest.fixture(scope="module")
def storm_image(podman: Podman, node: Node, programs: dict[str, str | Path]) -> str:
    reference = podman.image("storm", programs)
    node.pull(reference)
    return reference


@pytest.fixture(scope="module")
def capture(node: Node) -> Iterator[EbpfCapture]:
    try:
        capture = open_ebpf(runtimes=[node.runtime, PodmanRuntime()])
    except CaptureUnavailable as error:
        pytest.skip(str(error))
    yield capture
    capture.close()


def drift(capture: EbpfCapture, run: Callable[[], object], container: str, count: int) -> list[Event]:
    """Run a storm; return the events of the files that it unlinked, read while it runs as the agent does."""
    events: list[Event] = []
    end = time.monotonic() + PATIENCE
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        while len(events) < count and time.monotonic() < end:
            read = capture.read(0.1)
            capture.commit()
            events += [each for each in read if each.container.id == container and "storm-" in each.process.path]
        running.result()
    return events


def expected(small: Path) -> set[str]:
    return {hashlib.sha256(small.read_bytes() + number.to_bytes(8, "little")).hexdigest() for number in range(COUNT)}


@pytest.mark.parametrize("place", ["the container's own layer", "a volume", "a pod"])
def test_each_is_hashed(
    place: str,
    capture: EbpfCapture,
    podman: Podman,
    node: Node,
    storm_image: str,
    programs: dict[str, str | Path],
    tmp_path: Path,
) -> None:
    if place == "a pod":
        pod = node.pod("gone", "shop", {"app": "gone"}, uid="gone")
        container = node.start(pod, "gone", storm_image, mounts={})
        shell: Callable[[str], object] = lambda script: node.shell(container, script)  # noqa: E731
    else:
        volumes = [f"{tmp_path}:/tmp"] if place == "a volume" else []
        name = podman.run(storm_image, volumes=volumes)
        container = podman.id(name)
        shell = lambda script: podman.shell(name, script)  # noqa: E731
    drift(capture, lambda: shell("/storm unlink 1 /small"), container, 1)  # its mounts are known from its first exec on
    events = drift(capture, lambda: shell(f"/storm unlink {COUNT} /small"), container, COUNT)
    assert Counter(event.process.hash_status for event in events) == {"ok": COUNT}
    small = programs["/small"]
    assert isinstance(small, Path)
    assert {event.process.sha256 for event in events} == expected(small)
