"""What a container executed around its drift, from real kernels and containers to the portal's call."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from sensor import policy, wire
from sensor.agent.agent import Agent, AgentSettings
from sensor.capture.ebpf import EbpfCapture, open_ebpf
from sensor.capture.errors import CaptureUnavailable
from sensor.capture.exec_history import START
from sensor.capture.exec_tracks import TRACK_EXECS, Cursor
from sensor.container.podman import PodmanRuntime
from tests.system.node import Node
from tests.system.podman import SLOWNESS, Podman
from tests.unit.sensor.fake_portal import FakePortal
from tests.unit.sensor.makers import enrolled

pytestmark = pytest.mark.container

PATIENCE = 30.0 * SLOWNESS
CURL = '#!/bin/sh\n/bin/cat /bin/busybox > "$2"; echo >> "$2"; /bin/chmod +x "$2"\n'
ATTACK = "/usr/bin/curl -o /tmp/busybox-miner --token s3cr3t-value ; (/bin/true); "
ATTACK += "/tmp/busybox-miner sh -c '/bin/true after; true'; true"
DRIFT = "/bin/cat /bin/busybox > /tmp/{0}; echo >> /tmp/{0}; /bin/chmod +x /tmp/{0}; /tmp/{0} true"
MANY = "i=0; while [ $i -lt {} ]; do /bin/true $i; i=$((i+1)); done"


@pytest.fixture(scope="module")
def image(podman: Podman, node: Node) -> str:
    reference = podman.image("shop/history:1.0", {"/usr/bin/curl": CURL})
    node.pull(reference)
    return reference


@pytest.fixture
def portal() -> Iterator[FakePortal]:
    with FakePortal().serving() as serving:
        serving.publish(1, {**policy.default_document(), "default": {"action": "alert"}})
        serving.wants_execs = True
        yield serving


class Box:
    """A container of podman, or of a pod."""

    def __init__(self, where: str, podman: Podman, node: Node, image: str) -> None:
        if where == "podman":
            name = podman.run(image)
            self.id: str = podman.id(name)
            self.run: Callable[[str], object] = lambda script: podman.shell(name, script)
        else:
            pod = node.pod("history-7d9f", "shop", {"app": "history"}, uid="history-1")
            self.id = node.start(pod, "app", image)
            self.run = lambda script: node.shell(self.id, script)


@contextlib.contextmanager
def running(directory: Path, portal: FakePortal, node: Node) -> Iterator[Agent]:
    state = enrolled(directory / "state", portal)
    identity = state.identity()
    assert identity is not None
    try:
        capture = open_ebpf(runtimes=[node.runtime, PodmanRuntime()])
    except CaptureUnavailable as error:
        pytest.skip(str(error))
    settings = AgentSettings(stream=False, blocking=False, heartbeat_seconds=0.2)
    agent = Agent(state, identity, capture, settings)
    thread = threading.Thread(target=agent.run)
    thread.start()
    try:
        # Until then execs are kept by nobody.
        wait_until(lambda: capture.history.tracks.is_on)
        yield agent
    finally:
        agent.lifecycle.stopping.set()
        thread.join()


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.05)


def execs_of(portal: FakePortal, container: str) -> list[wire.ContainerExec]:
    found = [each for report in portal.exec_reports if report.container_id == container for each in report.execs]
    return sorted({each.exec_id: each for each in found}.values(), key=lambda each: each.at)


def reported(portal: FakePortal, container: str, *argv: str) -> Callable[[], bool]:
    """Whether an exec with these arguments has arrived. The path of a container's first one is the file's."""
    return lambda: any(each.argv == list(argv) for each in execs_of(portal, container))


def arguments_of(execs: Iterable[wire.ContainerExec]) -> list[str]:
    """Return the last argument of each exec of true, in order."""
    return [each.argv[-1] for each in execs if each.argv[0] == "/bin/true"]


@pytest.mark.parametrize("where", ["podman", "pod"])
def test_a_shell_that_downloads_a_miner_and_runs_it_is_reported_as_it_was(
    where: str, tmp_path: Path, podman: Podman, node: Node, image: str, portal: FakePortal
) -> None:
    with running(tmp_path, portal, node):
        box = Box(where, podman, node, image)
        box.run(ATTACK)
        wait_until(reported(portal, box.id, "/bin/true", "after"))
    execs = execs_of(portal, box.id)
    shell = next(each for each in execs if each.argv[1:2] == ["-c"])
    curl, chmod = (next(each for each in execs if name in each.argv) for name in ("/usr/bin/curl", "/bin/chmod"))
    miner, after = next(each for each in execs if each.path == "/tmp/busybox-miner"), execs[-1]
    assert shell.argv == ["/bin/sh", "-c", ATTACK.replace("s3cr3t-value", "***")]
    assert curl.argv[-4:] == ["-o", "/tmp/busybox-miner", "--token", "***"]
    assert [each.ancestors[0].pid for each in (curl, miner, after)] == [shell.pid, shell.pid, miner.pid]
    assert chmod.ancestors[0].pid == curl.pid
    assert [each.ancestors[0].started_at for each in (curl, miner)] == [shell.started_at] * 2
    assert {each.uid for each in execs} == {0}
    # By its id the portal knows which of them is the alert's.
    event = next(event for event in portal.events.values() if event.process.path == "/tmp/busybox-miner")
    assert (event.event_id, event.observed_at, event.process.pid) == (miner.exec_id, miner.at, miner.pid)
    subshell = next(each for each in execs if each.argv == ["/bin/true"])
    assert shell.pid in [each.pid for each in subshell.ancestors]


def test_the_container_s_first_exec_is_among_them(
    tmp_path: Path, podman: Podman, node: Node, image: str, portal: FakePortal
) -> None:
    with running(tmp_path, portal, node):
        box = Box("podman", podman, node, image)
        box.run(DRIFT.format("busybox-drift"))
        wait_until(reported(portal, box.id, "/tmp/busybox-drift", "true"))
    assert execs_of(portal, box.id)[0].argv[-1:] == ["3600"]


def test_of_many_execs_the_last_64_are_reported_and_the_others_counted(
    tmp_path: Path, podman: Podman, node: Node, image: str, portal: FakePortal
) -> None:
    with running(tmp_path, portal, node) as agent:
        box = Box("podman", podman, node, image)
        wait_until(lambda: bool(agent._capture.history.read(box.id, START).execs))  # type: ignore[attr-defined]
        box.run(f"{MANY.format(150)}; {DRIFT.format('busybox-drift')}")
        wait_until(reported(portal, box.id, "/tmp/busybox-drift", "true"))
    reports = [report for report in portal.exec_reports if report.container_id == box.id]
    trues = list(map(int, arguments_of(execs_of(portal, box.id))))
    # The shell, 150 of true, then cat, chmod and the drift itself.
    assert trues == list(range(150 - (TRACK_EXECS - 3), 150))
    assert sum(report.missed for report in reports) == 1 + 150 + 3 - TRACK_EXECS


def test_execs_on_two_cpus_at_once_are_each_kept_whole(podman: Podman, node: Node, image: str) -> None:
    with contextlib.closing(open_ebpf(runtimes=[PodmanRuntime()])) as capture:
        capture.history.switch(on=True)
        box = Box("podman", podman, node, image)
        box.run("/bin/true")
        cursor = seen(capture, box)
        one = "i=0; while [ $i -lt 31 ]; do /bin/true {0} {0} {0} $i; i=$((i+1)); done"
        box.run(f"{one.format('aaaa')} & {one.format('bbbbbbbb')} & wait")
        found = capture.history.read(box.id, cursor)
    trues = [each.argv[1:] for each in found.execs if each.argv[0] == "/bin/true"]
    assert sorted(trues) == sorted([name, name, name, str(n)] for name in ("aaaa", "bbbbbbbb") for n in range(31))
    assert found.missed == 0


def seen(capture: EbpfCapture, box: Box) -> Cursor:
    """Read until the container is registered; return the cursor behind what it executed so far."""
    wait_until(lambda: not capture.read(0.1) and bool(capture.history.read(box.id, START).execs))
    capture.commit()
    return capture.history.read(box.id, START).cursor


def test_an_exec_in_a_mount_namespace_of_its_own_is_the_container_s(
    tmp_path: Path, podman: Podman, node: Node, portal: FakePortal
) -> None:
    image = podman.image("shop/unshare:1.0", {"/usr/bin/curl": CURL})
    with running(tmp_path, portal, node):
        name = podman.run(image, options=["--privileged"])
        podman.shell(name, f"/bin/unshare -m /bin/true inside; {DRIFT.format('busybox-drift')}")
        wait_until(reported(portal, podman.id(name), "/tmp/busybox-drift", "true"))
        wait_until(reported(portal, podman.id(name), "/bin/true", "inside"))


def test_switched_off_nothing_is_kept_or_sent_within_a_heartbeat(
    tmp_path: Path, podman: Podman, node: Node, image: str, portal: FakePortal
) -> None:
    with running(tmp_path, portal, node) as agent:
        box = Box("podman", podman, node, image)
        box.run(DRIFT.format("busybox-one"))
        wait_until(reported(portal, box.id, "/tmp/busybox-one", "true"))
        portal.wants_execs = False
        wait_until(lambda: not agent._capture.history.tracks.is_on)  # type: ignore[attr-defined]
        before = len(portal.exec_reports)
        box.run(DRIFT.format("busybox-two"))
        wait_until(lambda: any(event.process.path == "/tmp/busybox-two" for event in portal.events.values()))
        assert len(portal.exec_reports) == before
        assert agent._capture.history.read(box.id, START).execs == ()  # type: ignore[attr-defined]
        portal.wants_execs = True
        wait_until(lambda: agent._capture.history.tracks.is_on)  # type: ignore[attr-defined]
        # A container that runs already is kept again without an exec that drifts.
        box.run("/bin/true on-again")
        box.run(DRIFT.format("busybox-three"))
        wait_until(reported(portal, box.id, "/bin/true", "on-again"))


def test_what_ran_while_no_sensor_did_is_read_by_the_next_one(
    tmp_path: Path, podman: Podman, node: Node, image: str
) -> None:
    pins = tmp_path / "pins"
    first = open_ebpf(pin_dir=pins, keep_pins=True, runtimes=[PodmanRuntime()])
    first.history.switch(on=True)
    box = Box("podman", podman, node, image)
    box.run("/bin/true before")
    seen(first, box)
    first.close(keep=True)
    box.run("/bin/true meanwhile")
    with contextlib.closing(open_ebpf(pin_dir=pins, runtimes=[PodmanRuntime()])) as second:
        second.history.switch(on=True)
        box.run("/bin/true after")
        found = second.history.read(box.id, START)
    assert arguments_of(found.execs) == ["before", "meanwhile", "after"]
    assert found.execs[0].argv[-1:] == ["3600"]
    assert found.missed == 0
