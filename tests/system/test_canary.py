"""The sensor's own drift, created and detected on this kernel."""

from __future__ import annotations

import os
import platform
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sensor import wire
from sensor.agent.agent import Agent, AgentSettings
from sensor.capture.base import Capture
from sensor.capture.ebpf import open_ebpf
from sensor.capture.fanotify.capture import open_fanotify
from sensor.container.mounts import read_mounts
from sensor.operations.canary.keeper import Canaries
from sensor.operations.canary.program import executable
from tests.system.fuse_mount import FuseMount
from tests.system.podman import unusable
from tests.unit.sensor.fake_portal import FakePortal
from tests.unit.sensor.makers import enrolled

BACKENDS: dict[str, Callable[[], Capture]] = {
    "ebpf": lambda: open_ebpf(runtimes=[]),
    "fanotify": lambda: open_fanotify(runtimes=[]),
}
PATIENCE = 30.0

pytestmark = pytest.mark.container


@pytest.fixture(params=BACKENDS)
def capture(request: pytest.FixtureRequest) -> Iterator[Capture]:
    if unusable():
        pytest.skip(unusable())
    opened = BACKENDS[request.param]()
    yield opened
    opened.close()


@pytest.fixture
def fuse(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """FUSE servers on this node, which are nothing to the canary."""
    if request.param == "no":
        yield
        return
    with FuseMount(tmp_path_factory.mktemp("fuse")) as mounted:
        if request.param == "an ended":
            mounted.kill_server()
        yield


def claimed(capture: Capture, canaries: Canaries) -> wire.Event:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for event in capture.read(0.1):
            if canaries.is_canary(event):
                return event
    pytest.fail("the canary was not seen")


@pytest.mark.parametrize(
    ("capture", "fuse"),
    [("ebpf", "no"), ("fanotify", "no"), ("fanotify", "a living"), ("fanotify", "an ended")],
    indirect=True,
)
@pytest.mark.usefixtures("fuse")
def test_its_exec_is_detected_like_any_drift_and_leaves_nothing_behind(
    capture: Capture, tmp_path: Path, read_aside: Callable[[Callable[[], wire.Event]], Callable[[], wire.Event]]
) -> None:
    canaries = Canaries(tmp_path / "canary", capture.adopt, time.sleep)
    event = read_aside(lambda: claimed(capture, canaries))
    canaries.run_canary()
    seen = event()
    assert (seen.kind, seen.process.path, seen.identity) == ("new_file", "/canary", "complete")
    assert (seen.container.name, seen.container.runtime) == ("driftwatch-canary", "driftwatch")
    assert not (tmp_path / "canary").exists()
    assert not [mount for mount in read_mounts(os.getpid()) if bytes(tmp_path) in mount.point]


@pytest.fixture
def read_aside() -> Iterator[Callable[[Callable[[], wire.Event]], Callable[[], wire.Event]]]:
    """Run a call in a thread, as the sensor reads while a canary runs; call the result to get the value."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda call: pool.submit(call).result


def test_a_sensor_proves_its_detection_when_its_portal_requests_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capture: Capture
) -> None:
    monkeypatch.setattr("sensor.operations.canary.keeper.FIRST_WITHIN", 0.0)
    with FakePortal().serving() as portal:
        portal.publish(1)
        portal.canary_seconds = 3_600.0
        state = enrolled(tmp_path / "state", portal)
        identity = state.identity()
        assert identity is not None
        agent = Agent(state, identity, capture, AgentSettings(stream=False, blocking=False))
        running = threading.Thread(target=agent.run)
        running.start()
        portal.wait(lambda: any(event.canary for event in portal.events.values()))
        agent.lifecycle.stopping.set()
        running.join()
    [canary] = [event for event in portal.events.values() if event.canary]
    assert (canary.process.name, canary.process.hash_status, canary.decision) == ("canary", "ok", None)


def test_the_program_runs_on_this_machine(tmp_path: Path) -> None:
    program = tmp_path / "canary"
    program.write_bytes(executable(platform.machine()))
    program.chmod(0o755)
    assert subprocess.run([program], check=False, timeout=30).returncode == 0
