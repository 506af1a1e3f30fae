"""Every line of "must be caught" and "must stay quiet" in podman by eBPF alone, quick enough for an emulated machine.

scripts/vm-check.sh runs it there; pytest does not find it by itself, as tests/system/capture/test_lines.py has it all.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest

from sensor.capture.ebpf import open_ebpf
from tests.system import needs
from tests.system.capture.bed import Collector, PodmanBox, Watch, altered_busybox, app_files
from tests.system.capture.lines import LINES, Line
from tests.system.podman import Podman

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def collector(podman: Podman) -> Iterator[Collector]:
    made = Collector(open_ebpf())
    yield made
    made.close()


@pytest.fixture(scope="module")
def watch_of(podman: Podman, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Watch]:
    """The container, privileged or not; made when first asked for."""
    runner = needs.tool(tmp_path_factory.mktemp("tools") / "run")
    image = podman.image("shop/app:1.2", app_files(runner))
    volume = tmp_path_factory.mktemp("volume")

    @functools.cache
    def watch(privileged: bool) -> Watch:
        options = ["--privileged"] if privileged else []
        name = podman.run(image, volumes=[f"{volume}:/data"], tmpfs=["/scratch:exec"], options=options)
        return Watch(PodmanBox(podman, name), {"ebpf": collector}, altered_busybox(podman.directory))

    return watch


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
def test_each_line_is_seen_as_it_must_be(line: Line, watch_of: Callable[[bool], Watch], podman: Podman) -> None:
    watch = watch_of(line.privileged)
    if line.drop:
        watch.box.put(altered_busybox(podman.directory), line.drop)
    events = watch.drift(line.script, "ebpf")
    assert tuple((event.kind, event.process.path) for event in events) == line.expected("ebpf")
    assert {event.identity for event in events} <= {"complete"}
