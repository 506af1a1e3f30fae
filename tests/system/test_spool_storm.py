"""A storm of drift while the portal is away and the sensor is killed twice: afterwards every exec is counted once.

STORM sets how many execs at least, 2,000 at first: with 20,000 it is the measurement of docs/sensor.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.system import needs
from tests.system.podman import Podman
from tests.system.test_sensor_process import ROOT
from tests.unit.sensor.fake_portal import FakePortal, refused
from tests.unit.sensor.makers import enrolled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sensor.operations.state_directory import StateDirectory

pytestmark = pytest.mark.container
EXECS = int(os.environ.get("STORM", "2000"))
DROP = "cat /bin/busybox > /tmp/busybox-storm; echo >> /tmp/busybox-storm; chmod +x /tmp/busybox-storm"
STORM = f"""
n=0
until [ $n -ge {EXECS} ] && [ -e /tmp/enough ]; do /tmp/busybox-storm true; n=$((n + 1)); done
echo $n > /tmp/execs
"""
"""It goes on until both kills are over, however fast the machine and slow the sensor."""
PATIENCE = 120.0


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[Podman]:
    (tmp_path / "podman").mkdir()
    with needs.podman_in(tmp_path / "podman") as bed:
        yield bed


class Sensor:
    """A real sensor with its own pins, restarted after each kill."""

    def __init__(self, state: StateDirectory, pins: Path) -> None:
        self.directory = state.path
        self._command = [sys.executable, "-m", "sensor", "run", "--state", str(state.path), "--capture", "ebpf"]
        self._command += ["--pin-dir", str(pins), "--no-stream", "--poll-seconds", "1", "--window-seconds", "2"]
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        self.process = subprocess.Popen(self._command, cwd=ROOT)
        return self.process

    def stored(self) -> int:
        """Bytes of what waits on disk."""
        return sum(file.stat().st_size for name in ("spool", "folds") for file in (self.directory / name).glob("*"))

    def until_it_stores(self) -> None:
        """Wait until there is more on disk than now."""
        before, until = self.stored(), time.monotonic() + PATIENCE
        while self.stored() <= before:
            assert time.monotonic() < until, "the sensor stored nothing"
            time.sleep(0.02)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def portal() -> Iterator[FakePortal]:
    with FakePortal().serving() as serving:
        yield serving


@pytest.fixture
def sensor(tmp_path: Path, portal: FakePortal) -> Iterator[Sensor]:
    running = Sensor(enrolled(tmp_path / "state", portal), tmp_path / "pins")
    yield running
    running.process.terminate()
    running.process.wait(30)


def counted(portal: FakePortal) -> int:
    """Execs of the storm that the portal has."""
    events = list(portal.events.values())
    return sum(event.count for event in events if event.process.path == "/tmp/busybox-storm")


def test_every_exec_of_a_storm_is_counted_once(podman: Podman, portal: FakePortal, sensor: Sensor) -> None:
    portal.publish(1)
    portal.wait(lambda: bool(portal.statuses))
    portal.always["sensors/me/events"] = refused(503, "unavailable")
    name = podman.run(podman.image("storm:1"))
    podman.shell(name, DROP)
    with podman.background("exec", name, "/bin/sh", "-c", STORM) as storm:
        for _ in range(2):
            sensor.until_it_stores()
            assert storm.poll() is None, "the storm was over before the kill"
            sensor.kill()
            sensor.start()
        podman.shell(name, "touch /tmp/enough")
        assert storm.wait(PATIENCE) == 0
    execs = int(podman.shell(name, "cat /tmp/execs").stdout)
    assert execs >= EXECS
    assert counted(portal) == 0
    del portal.always["sensors/me/events"]
    portal.wait(lambda: counted(portal) >= execs, PATIENCE)
    sensor.process.terminate()
    sensor.process.wait(30)
    assert counted(portal) == execs
