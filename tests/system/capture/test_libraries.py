"""Dropped libraries, which eBPF sees if monitoring is enabled, and the fallback never does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sensor.capture.ebpf import open_ebpf
from tests.system.capture.bed import Collector, PodmanBox, Watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.podman import Podman

pytestmark = pytest.mark.container
PRELOAD = (
    "cat /lib/x86_64-linux-gnu/libc.so.6 > /tmp/evil.so; echo >> /tmp/evil.so; cd /tmp;"
    " LD_PRELOAD=/tmp/evil.so /usr/bin/dynamic 0.05"
)


@pytest.fixture(scope="module")
def library_box(podman: Podman, image: str, altered: Path) -> Iterator[Watch]:
    collector = Collector(open_ebpf(libraries=True))
    yield Watch(PodmanBox(podman, podman.run(image)), {"ebpf": collector}, altered)
    collector.close()


def test_a_dropped_library_is_detected_when_it_is_preloaded(library_box: Watch) -> None:
    event = library_box.only(PRELOAD, "ebpf")
    assert (event.kind, event.process.path) == ("library", "/tmp/evil.so")
    assert event.process.via == "/usr/bin/dynamic"
    assert (event.process.argv, event.process.hash_status) == (["/usr/bin/dynamic", "0.05"], "ok")


def test_the_fallback_sees_no_library(box: Watch) -> None:
    assert box.drift(PRELOAD, "fanotify") == []


def test_libraries_of_the_image_are_not_drift(library_box: Watch) -> None:
    assert library_box.drift("touch /lib/x86_64-linux-gnu/libc.so.6; /usr/bin/dynamic 0; ls /", "ebpf") == []


def test_a_program_that_the_loader_maps_is_reported_once(library_box: Watch) -> None:
    script = "cp /usr/bin/dynamic /tmp/m; /lib64/ld-linux-x86-64.so.2 /tmp/m 0"
    assert library_box.only(script, "ebpf").kind == "loader"
