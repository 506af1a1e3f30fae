"""A real `python -m sensor run`: killed in mid-flight, stopped by a signal, without its portal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sensor
from sensor import wire
from sensor.operations.state_directory import StateDirectory
from tests.unit.sensor.fake_portal import Answer, FakePortal, refused
from tests.unit.sensor.makers import enrolled

ROOT = Path(sensor.__file__).parents[1]
HOSTILE = ["\\xff\\xfe", "\u0001" * 60, "a" * 4_000, "\U0001f4a3", '"\\', "--password=hunter2", "\\x00"]


@pytest.fixture
def portal() -> Iterator[FakePortal]:
    with FakePortal().serving() as serving:
        yield serving


@pytest.fixture
def state(tmp_path: Path, portal: FakePortal) -> StateDirectory:
    return enrolled(tmp_path / "state", portal)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """500 alerts in kube-system with hostile arguments and 1,500 execs that the policy ignores, over three seconds."""
    path = tmp_path / "recording.jsonl"
    with path.open("w") as file:
        for number in range(500):
            at = number * 0.006
            process = {"name": "x", "path": f"/tmp/x{number}", "argv": ["./x", HOSTILE[number % 7], str(number)]}
            container = {"id": "c", "namespace": "kube-system"}
            file.write(json.dumps({"at": at, "kind": "new_file", "process": process, "container": container}) + "\n")
            ignored = {"name": "y", "path": f"/tmp/y{number % 3}"}
            line = {"at": at, "kind": "volume", "process": ignored, "container": {"id": "d", "namespace": "shop"}}
            file.write(json.dumps({**line, "repeat": 3}) + "\n")
    return path


class Runner:
    """Starts sensors on one state directory and stops them all at the end."""

    def __init__(self, state: StateDirectory, recording: Path) -> None:
        self.directory, self._recording = state.path, recording
        self.process: subprocess.Popen[str] | None = None

    def start(self, *more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "sensor", "run", "--state", str(self.directory), "--capture", "replay"]
        command += ["--replay", str(self._recording), "--window-seconds", "0.3", "--poll-seconds", "1", *more]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        return self.process

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture
def runner(state: StateDirectory, recording: Path) -> Iterator[Runner]:
    running = Runner(state, recording)
    yield running
    running.kill()


def alerts(portal: FakePortal) -> list[wire.Event]:
    return [event for event in list(portal.events.values()) if event.mode == "exec"]


def stored(portal: FakePortal) -> int:
    return sum(event.count for event in list(portal.events.values()))


def test_after_kills_during_work_nothing_is_lost_or_counted_twice(portal: FakePortal, runner: Runner) -> None:
    """The portal takes small batches up to a limit, so that each kill comes while events wait and arrive."""
    limit = 0

    def judge(events: list[Any]) -> Answer | None:
        if len(events) > 20:
            return refused(413, "too_large")
        return refused(503, "unavailable") if len(alerts(portal)) >= limit else None

    portal.publish(1)
    portal.judge = judge
    for limit in (50, 200, 400):
        runner.start("--replay-once")
        portal.wait(lambda limit=limit: len(alerts(portal)) >= limit)  # type: ignore[misc]
        runner.kill()
        assert len(alerts(portal)) < 500
    limit = 10_000
    assert runner.start("--replay-once").wait(60) == 0
    assert {event.process.path for event in alerts(portal)} == {f"/tmp/x{number}" for number in range(500)}
    assert (len(alerts(portal)), stored(portal)) == (500, 2_000)
    assert not (runner.directory / "set-aside.jsonl").exists()


def test_an_unavailable_portal_gets_everything_once_it_is_back(portal: FakePortal, runner: Runner) -> None:
    portal.publish(1)
    portal.always["sensors/me/events"] = refused(503, "unavailable")
    runner.start("--replay-once", "--replay-speed", "10")
    portal.wait(lambda: sum(1 for path, _ in portal.calls if path.endswith("events")) >= 2)
    runner.kill()
    assert portal.events == {}
    del portal.always["sensors/me/events"]
    assert runner.start("--replay-once", "--replay-speed", "1e6").wait(60) == 0
    assert stored(portal) == 2_000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_and_its_events_are_kept(
    portal: FakePortal, runner: Runner, number: signal.Signals
) -> None:
    portal.publish(1)
    process = runner.start()
    portal.wait(lambda: stored(portal) > 50)
    portal.always["sensors/me/events"] = refused(503, "unavailable")
    os.kill(process.pid, number)
    assert process.wait(30) == 0
    assert process.stderr is not None
    assert "Stopped" in process.stderr.read()
    del portal.always["sensors/me/events"]
    assert runner.start("--replay-once", "--replay-speed", "1e6").wait(60) == 0
    assert stored(portal) == 2_000


def test_a_policy_pushed_while_it_runs_is_applied_and_acknowledged(portal: FakePortal, runner: Runner) -> None:
    portal.publish(1)
    runner.start("--poll-seconds", "1000")
    portal.wait(lambda: bool(portal.statuses) and any(path == "stream" for path, _ in portal.calls))
    portal.publish(2)
    portal.push("policy", {"number": 2, "etag": portal.etag})
    portal.wait(lambda: portal.statuses[-1].number == 2)
    portal.wait(lambda: any(e.decision and e.decision.policy_number == 2 for e in list(portal.events.values())))
