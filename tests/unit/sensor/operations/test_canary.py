"""When the sensor proves that it detects, and which events are its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sensor import wire
from sensor.operations.canary import keeper
from sensor.operations.canary.keeper import Canaries
from sensor.operations.canary.program import executable
from tests.unit.sensor.makers import make_event


class Flown(Canaries):
    """Counts canaries without running any."""

    flights = 0
    error: Exception | None = None

    def run_canary(self) -> None:
        self.flights += 1
        if self.error:
            raise self.error


@pytest.fixture
def canaries(tmp_path: Path) -> Flown:
    return Flown(tmp_path, lambda pid, container: True, lambda seconds: None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1_000.0]
    monkeypatch.setattr("sensor.operations.canary.keeper.time.monotonic", lambda: now[0])
    return now


def steps(canaries: Flown, clock: list[float], seconds: int) -> int:
    before = canaries.flights
    for _ in range(seconds):
        clock[0] += 1
        canaries.step()
    return canaries.flights - before


def test_a_canary_runs_only_while_the_portal_requests_proof(canaries: Flown, clock: list[float]) -> None:
    assert steps(canaries, clock, 100) == 0
    canaries.set_interval(50.0)
    assert steps(canaries, clock, 100) == 2
    canaries.set_interval(None)
    assert steps(canaries, clock, 100) == 0


def test_the_same_interval_in_each_heartbeat_does_not_delay_it(canaries: Flown, clock: list[float]) -> None:
    for _ in range(100):
        canaries.set_interval(50.0)
        steps(canaries, clock, 1)
    assert canaries.flights == 2


def test_the_interval_has_a_minimum(canaries: Flown, clock: list[float]) -> None:
    canaries.set_interval(0.001)
    assert steps(canaries, clock, 100) <= 100 / keeper.MIN_INTERVAL_SECONDS


def test_a_failed_canary_does_not_prevent_the_next(canaries: Flown, clock: list[float]) -> None:
    canaries.error = subprocess.SubprocessError("no room")
    canaries.set_interval(50.0)
    assert steps(canaries, clock, 100) == 2


def test_a_container_that_cannot_be_created_is_reported_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    broken = Canaries(tmp_path / "file", lambda pid, container: True, lambda seconds: None)
    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        broken.run_canary()


def test_only_its_own_containers_are_claimed(canaries: Flown) -> None:
    assert not canaries.is_canary(make_event())
    disguised = make_event()
    disguised.container = wire.Container("c" * 64, name="driftwatch-canary", runtime="driftwatch")
    assert not canaries.is_canary(disguised)


def test_an_unsupported_architecture_has_no_canary() -> None:
    with pytest.raises(ValueError, match="m68k"):
        executable("m68k")
