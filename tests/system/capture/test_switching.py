"""A sensor whose backend dies goes on with the other one, on real execs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sensor.capture.base import Capture, CaptureUnavailable
from sensor.capture.choosing import FIRST_RETRY, Backend, ChosenCapture
from sensor.capture.ebpf import EbpfCapture, open_ebpf
from sensor.capture.fanotify.capture import open_fanotify
from tests.system.capture.bed import Collector, PodmanBox, Watch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.podman import Podman

pytestmark = pytest.mark.container


class Node:
    """eBPF that can be taken away, and a clock."""

    def __init__(self) -> None:
        self.has_ebpf = True
        self.now = 0.0
        self.opened: list[EbpfCapture] = []

    def ebpf(self) -> Capture:
        if not self.has_ebpf:
            raise CaptureUnavailable("no eBPF here")
        self.opened.append(open_ebpf())
        return self.opened[-1]

    def choose(self) -> ChosenCapture:
        return ChosenCapture([Backend("ebpf", self.ebpf), Backend("fanotify", open_fanotify)], lambda: self.now)


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
        assert capture.capabilities == ["fanotify"]
    finally:
        collector.close()
