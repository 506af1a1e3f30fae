"""A sensor on a filesystem that is really full: it reports what it lost, and its counts are exact."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.system.test_sensor_process import Runner, alerts, portal, recording, state, stored
from tests.unit.sensor.fake_portal import FakePortal, refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sensor.operations.state_directory import StateDirectory

__all__ = ["portal", "recording", "state"]
pytestmark = pytest.mark.container

DISK_KIB = 384
"""Room for some hundred of the recording's 500 alerts."""
ALERTS, IGNORED = 500, 1_500


@pytest.fixture
def disk(tmp_path: Path, state: StateDirectory) -> Iterator[Path]:
    """A filesystem of its own for what the sensor stores of events."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small filesystem")
    directory = tmp_path / "disk"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_KIB}k", "driftwatch-test", directory], check=True)
    for name in ("spool", "folds"):
        (directory / name).mkdir()
        (state.path / name).symlink_to(directory / name)
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


@pytest.fixture
def runner(state: StateDirectory, recording: Path, disk: Path) -> Iterator[Runner]:
    running = Runner(state, recording)
    yield running
    if running.process is not None:
        running.process.kill()
        print(running.process.communicate()[1])  # shown where the test failed


def lost(portal: FakePortal) -> int:
    return portal.heartbeats[-1].counters.lost.get("spool_full", 0) if portal.heartbeats else 0


def test_events_that_a_full_disk_rejects_are_counted_and_nothing_else_is_lost(
    portal: FakePortal, runner: Runner, disk: Path
) -> None:
    portal.publish(1)
    portal.always["sensors/me/events"] = refused(503, "unavailable")
    process = runner.start("--replay-once", "--heartbeat-seconds", "0.2")
    portal.wait(lambda: lost(portal) > 0)
    portal.wait(lambda: portal.heartbeats[-1].counters.execs == ALERTS + IGNORED, 60)
    del portal.always["sensors/me/events"]
    assert process.wait(60) == 0
    assert len(alerts(portal)) + lost(portal) == ALERTS
    assert stored(portal) == ALERTS + IGNORED - lost(portal)
