"""What eBPF capture keeps while no sensor runs, and over a kill."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sensor.capture.ebpf import EbpfCapture, open_ebpf
from sensor.capture.errors import CaptureUnavailable
from sensor.capture.libbpf import Libbpf
from tests.system.capture.bed import PATIENCE, SENTINEL, Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.podman import Podman

pytestmark = pytest.mark.container


def started(pins: Path, *, keep_pins: bool = False) -> EbpfCapture:
    return open_ebpf(pin_dir=pins, keep_pins=keep_pins)


@pytest.fixture
def pins(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "pins"
    started(tmp_path / "pins").close()


def test_execs_without_a_running_sensor_are_read_afterwards(
    podman: Podman, image: str, altered: Path, pins: Path
) -> None:
    name = podman.run(image)
    podman.cp(altered, name, SENTINEL)
    started(pins, keep_pins=True).close()
    podman.shell(name, f"for i in $(seq 100); do {SENTINEL} true away; done; {SENTINEL} true {name}")
    after = Collector(started(pins))
    events = after.until(podman.id(name), lambda event: event.process.argv[-1] == name)
    after.close()
    assert sum(event.process.argv[-1] == "away" for event in events) == 100
    assert not pins.exists()


def test_uncommitted_execs_are_read_again_unchanged(podman: Podman, image: str, altered: Path, pins: Path) -> None:
    name = podman.run(image)
    podman.cp(altered, name, SENTINEL)
    first = started(pins, keep_pins=True)
    podman.exec(name, SENTINEL, "true")
    read = [event for event in first.read(PATIENCE) if event.container.name == name]
    first.close()
    second = started(pins)
    again = [event for event in second.read(PATIENCE) if event.container.name == name]
    second.close()
    assert read
    assert again == read


def test_without_writers_execs_are_seen_and_their_pins_reused(
    podman: Podman, image: str, altered: Path, pins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Linux 5.10."""
    monkeypatch.setattr(Libbpf, "knows_helper", lambda *_: False)
    name = podman.run(image)
    started(pins, keep_pins=True).close()
    podman.shell(name, f"cp /bin/busybox {SENTINEL}; {SENTINEL} true away; {SENTINEL} true {name}")
    after = Collector(started(pins))
    (event,) = after.until(podman.id(name), lambda event: event.process.argv[-1] == name)
    after.close()
    assert event.process.written_by is None


def test_pins_in_the_system_s_bpffs_leave_nothing_behind() -> None:
    pins = Path(f"/sys/fs/bpf/driftwatch-test-{os.getpid()}")
    capture = started(pins, keep_pins=True)
    capture.close()
    assert [entry.name for build in pins.iterdir() for entry in build.iterdir() if entry.name == "exec_link"] == [
        "exec_link"
    ]
    started(pins).close()
    assert not pins.exists()


def test_two_sensors_do_not_share_pins(pins: Path) -> None:
    first = started(pins)
    try:
        with pytest.raises(CaptureUnavailable, match="another sensor"):
            open_ebpf(pin_dir=pins)
    finally:
        first.close()
