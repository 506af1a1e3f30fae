"""A sensor whose backend fails continues with the other one, on real execs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sensor.capture.base import Capture
from sensor.capture.ebpf import EbpfCapture, open_ebpf
from sensor.capture.errors import CaptureUnavailable
from sensor.capture.failover import FIRST_RETRY, Backend, FailoverCapture
from sensor.capture.fanotify.capture import open_fanotify
from tests.system.capture.bed import Collector, PodmanBox, Watch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.podman import Podman

pytestmark = pytest.mark.container


class Node:
    """eBPF that can be taken away, and a clock."""

    def __init__(self, pins: Path | None = None) -> None:
        self.has_ebpf = True
        self.now = 0.0
        self.pins = pins
        self.opened: list[EbpfCapture] = []

    def ebpf(self) -> Capture:
        if not self.has_ebpf:
            raise CaptureUnavailable("no eBPF here")
        self.opened.append(open_ebpf(pin_dir=self.pins))
        return self.opened[-1]

    def choose(self) -> FailoverCapture:
        return FailoverCapture([Backend("ebpf", self.ebpf), Backend("fanotify", open_fanotify)], lambda: self.now)


def test_drift_is_seen_before_during_and_after_a_backend_s_death(podman: Podman, image: str, altered: Path) -> None:
    node = Node()
    capture = node.choose()
    collector = Collector(capture)
    watch = Watch(PodmanBox(podman, podman.run(image)), {"any": collector}, altered)

    def seen(name: str) -> str:
        script = f"cp /bin/busybox /tmp/busybox-{name}; /tmp/busybox-{name} sleep 0.05"
        return watch.only(script, "any").process.name

    try:
        assert (seen("one"), capture.name) == ("busybox-one", "ebpf")
        node.has_ebpf = False
        node.opened[0]._kernel.ring.close()  # what it reads is gone
        collector.until_that(lambda: capture.name == "fanotify")
        assert seen("two") == "busybox-two"
        assert capture.counters().lost["backend"] == 1
        node.has_ebpf, node.now = True, FIRST_RETRY
        collector.until_that(lambda: capture.name == "ebpf")
        assert seen("three") == "busybox-three"
        assert capture.capabilities[0] == "fanotify"
    finally:
        collector.close()


def test_an_exec_seen_by_an_earlier_kernel_program_and_the_fallback_is_reported_once(
    podman: Podman, image: str, altered: Path, tmp_path: Path
) -> None:
    open_ebpf(pin_dir=tmp_path / "pins", keep_pins=True).close()
    node = Node(tmp_path / "pins")
    node.has_ebpf = False
    capture = node.choose()
    collector = Collector(capture)
    watch = Watch(PodmanBox(podman, podman.run(image)), {"any": collector}, altered)
    drop = "cp /bin/busybox /tmp/busybox-{0}; /tmp/busybox-{0} sleep 0.05"
    try:
        assert watch.only(drop.format("both"), "any").process.name == "busybox-both"
        assert capture.name == "fanotify"
        node.has_ebpf, node.now = True, FIRST_RETRY
        collector.until_that(lambda: capture.name == "ebpf")
        assert node.opened[0]._kernel.taken_over
        assert watch.only(drop.format("later"), "any").process.name == "busybox-later"
        # Both programs, and the two sentinels that end the scripts.
        assert capture.counters().drifted == 4
        assert capture._duplicates == 2
    finally:
        collector.close()
