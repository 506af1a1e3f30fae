"""Drift that a rule blocks never runs in a real pod either; what is not drift does.

`BLOCKING_FULL=1` runs the counts of issue 6; without it some are taken at a tenth or less.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.system import needs, patch_ways
from tests.system.blocking_bed import RAN, UNLIMITED, Bed, altered_busybox, block_rule
from tests.system.node import Node, Pod
from tests.system.patch_ways import WAYS
from tests.system.podman import BUSYBOX, Podman
from tests.unit.sensor.fake_portal import FakePortal

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.container

FULL = os.environ.get("BLOCKING_FULL") == "1"
TIMES = 100
"""Runs in one call of CRI, which is waited for 20 seconds at most."""
CALLS = 10 if FULL else 1
IMAGE_RUNS = 10 if FULL else 1
"""Of a file that nobody touched, for each of one that somebody did."""
COLD = 50 if FULL else 3
SIDE_BY_SIDE = 12
TURNS = 60 if FULL else 10
SENSOR = """
import os, signal, sys, time
from pathlib import Path
from sensor.container import cri, runtimes
from tests.system import needs

late, answer = Path(sys.argv.pop(1)), cri.Cri._call

def in_its_time(*arguments):
    seconds, limit = float(late.read_text()), arguments[-1]
    if seconds < 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        seconds = 0
    time.sleep(min(seconds, limit))
    if seconds > limit:
        raise cri.CriError("no answer in time")
    return answer(*arguments)

cri.Cri._call = in_its_time
node = needs.NODE.seen(Path(sys.argv.pop(1)))
node._cri._rest = 0.0  # what was late for one test is asked again in the next
runtimes.runtimes_of_node = lambda *_, **__: [node]
from sensor.commands.main import main

sys.exit(main())
"""
EACH = f"for i in $(seq {TIMES}); do "
FILE = "/tmp/busybox-new-$i"
FIRST = "/tmp/busybox-first"
NOT_IN_TIME = 2.0
"""Seconds for an answer: more than an exec may wait."""
FROZEN: Final = -1.0
"""The sensor stops itself (SIGSTOP) in place of asking."""
NEW = f"{EACH} cat /bin/busybox > {FILE}; chmod +x {FILE}; {FILE} echo {RAN}; rm {FILE}; done"


class Pods:
    """Containers of one pod under a blocking sensor; each writes what it did to `directory`, its /shared."""

    def __init__(self, bed: Bed, node: Node, image: str, directory: Path) -> None:
        self.bed, self.node, self._image, self.directory = bed, node, image, directory
        self._pod: Pod = node.pod("cart-7d9f5c6b4-x2kfz", "shop", {"app": "cart"})
        self._numbers = itertools.count()
        self._late = directory / "late"

    def answers_after(self, seconds: float) -> None:
        """Delay each of the runtime's answers to the sensor."""
        self._late.write_text(str(seconds))

    def create(self, *command: str) -> str:
        mounts = {"/shared": self.directory}
        return self.node.create(self._pod, f"app{next(self._numbers)}", self._image, *command, mounts=mounts)

    def drop(self, container_id: str, path: str) -> None:
        """Put a program that is in no image into the layer of a container that has not started yet."""
        target = self.node.own_layer(container_id) / path.lstrip("/")
        target.parent.mkdir(exist_ok=True)
        shutil.copy2(altered_busybox(self.bed.podman), target)

    def warm(self) -> str:
        """Return a container in which the kernel already blocks."""
        container_id = self.create()
        self.drop(container_id, "/tmp/busybox-probe")
        self.node.begin(container_id)
        self.bed.until(lambda: RAN not in self.run(container_id, f"/tmp/busybox-probe echo {RAN}"))
        return container_id

    def run(self, container_id: str, script: str) -> str:
        return self.node.output(container_id, script)

    def blocked(self, container_id: str, path: str, reason: str | None = None) -> int:
        """Execs of files of this container whose path begins so that were stopped; or that were not, with a reason."""
        expected = ("blocked", "") if reason is None else ("not_blocked", reason)
        found = [event for event in self.bed.events(path) if event.container.id == container_id]
        return sum(event.count for event in found if (event.outcome, event.outcome_reason) == expected)

    def settle(self, container_id: str, path: str) -> list[tuple[str, str]]:
        """Wait until this exec's outcome is reported, and remove the container."""
        self.bed.until(lambda: bool(self.outcomes(container_id, path)))
        self.node.remove(container_id)
        return self.outcomes(container_id, path)

    def outcomes(self, container_id: str, path: str) -> list[tuple[str, str]]:
        found = [event for event in self.bed.events(path) if event.container.id == container_id]
        return [(event.outcome, event.outcome_reason) for event in found for _ in range(event.count)]


@pytest.fixture(scope="module")
def image(podman: Podman, node: Node, tmp_path_factory: pytest.TempPathFactory) -> str:
    runner = needs.tool(tmp_path_factory.mktemp("tools") / "run")
    patch = needs.tool(tmp_path_factory.mktemp("patch") / "patch", source="patch.c")
    victims = {f"/usr/bin/victim-{way}": runner for way in WAYS}
    tools = {"/usr/bin/run": runner, "/usr/bin/patch": patch, "/usr/bin/busybox-tool": BUSYBOX}
    reference = podman.image("blocked", tools | victims)
    node.pull(reference)
    return reference


@pytest.fixture(scope="module")
def pods(podman: Podman, node: Node, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    with FakePortal().serving() as portal, Bed(podman, portal, tmp_path_factory.mktemp("sensor")) as bed:
        directory = tmp_path_factory.mktemp("shared")
        pods = Pods(bed, node, image, directory)
        pods.answers_after(0)
        bed.program = (sys.executable, "-c", SENSOR, str(directory / "late"), str(node.directory))
        bed.publish(block_rule(podman))
        bed.start("--kills-per-minute", UNLIMITED)
        yield pods


@pytest.fixture(scope="module")
def warm(pods: Pods) -> str:
    return pods.warm()


def test_no_new_file_runs_in_a_warm_container(pods: Pods, warm: str) -> None:
    for _ in range(CALLS):
        assert RAN not in pods.run(warm, NEW)
    pods.bed.await_events("/tmp/busybox-new-", TIMES * CALLS)
    assert pods.blocked(warm, "/tmp/busybox-new-") == TIMES * CALLS
    event = pods.bed.events("/tmp/busybox-new-")[0]
    assert (event.container.namespace, event.container.pod_name) == ("shop", "cart-7d9f5c6b4-x2kfz")


def test_no_memfd_runs_there_or_in_its_own_mount_namespace(pods: Pods, warm: str) -> None:
    for _ in range(CALLS):
        assert RAN not in pods.run(warm, f"{EACH} run memfd /bin/busybox echo {RAN}; done")
    pods.bed.await_events("/memfd:", TIMES * CALLS)
    assert pods.blocked(warm, "/memfd:") == TIMES * CALLS


def test_image_files_and_touched_ones_run(pods: Pods, warm: str) -> None:
    for _ in range(CALLS):
        untouched = f"for n in $(seq {IMAGE_RUNS}); do busybox-tool echo {RAN}; done"
        out = pods.run(warm, f"{EACH} touch /bin/busybox; /bin/busybox echo {RAN}; {untouched}; done")
        assert out.count(RAN) == (1 + IMAGE_RUNS) * TIMES


@pytest.mark.parametrize("way", WAYS)
def test_a_patched_image_program_never_runs_and_each_kill_is_reported(pods: Pods, warm: str, way: str) -> None:
    victim = f"/usr/bin/victim-{way}"
    assert RAN in pods.run(warm, f"{victim} -- /bin/busybox echo {RAN}")
    killed = len(patch_ways.runs(way, TURNS))
    assert pods.run(warm, f"/usr/bin/patch {way} {TURNS} {victim}") == f"killed {killed}\n"
    pods.bed.await_events(victim, killed)
    assert pods.blocked(warm, victim) == killed


def _first(pods: Pods) -> tuple[bool, list[tuple[str, str]]]:
    """Start a container whose first exec is a new file; return whether it ran, and the reported outcome."""
    ran = pods.directory / "new"
    ran.unlink(missing_ok=True)
    made = pods.create(FIRST, "touch", "/shared/new")
    pods.drop(made, FIRST)
    pods.node.begin(made)
    reported = pods.settle(made, FIRST)
    return ran.exists(), reported


@pytest.mark.parametrize("late", [0.0, 0.2])
def test_no_new_file_runs_that_is_a_container_s_first_exec(pods: Pods, warm: str, late: float) -> None:
    """Also if the runtime identifies it long after it would have started."""
    pods.answers_after(late)
    try:
        assert [_first(pods) for _ in range(COLD)] == [(False, [("blocked", "")])] * COLD
    finally:
        pods.answers_after(0)


def test_twelve_containers_that_start_side_by_side_are_all_stopped_though_the_runtime_answers_late(
    pods: Pods, warm: str
) -> None:
    names = [f"new-{number}" for number in range(SIDE_BY_SIDE)]
    made = [pods.create(FIRST, "touch", f"/shared/{name}") for name in names]
    for container_id in made:
        pods.drop(container_id, FIRST)
    pods.answers_after(0.2)
    try:
        with ThreadPoolExecutor(SIDE_BY_SIDE) as starting:
            list(starting.map(pods.node.begin, made))
        assert [pods.settle(container_id, FIRST) for container_id in made] == [[("blocked", "")]] * SIDE_BY_SIDE
        assert [name for name in names if (pods.directory / name).exists()] == []
    finally:
        pods.answers_after(0)


def test_if_the_runtime_is_too_late_the_exec_runs_and_is_reported_without_an_identity(pods: Pods, warm: str) -> None:
    pods.answers_after(NOT_IN_TIME)
    try:
        assert _first(pods) == (True, [("none", "")])
        assert pods.bed.events(FIRST)[-1].identity == "incomplete"
    finally:
        pods.answers_after(0)


def test_a_frozen_sensor_does_not_hold_a_first_exec(pods: Pods, warm: str) -> None:
    ran = pods.directory / "new"
    ran.unlink(missing_ok=True)
    made = pods.create(FIRST, "touch", "/shared/new")
    pods.drop(made, FIRST)
    pods.answers_after(FROZEN)
    try:
        pods.node.begin(made)
        pods.bed.until(ran.exists)
        assert pods.bed.is_frozen()
    finally:
        pods.answers_after(0)
        pods.bed.signal(signal.SIGCONT)
        pods.node.remove(made)


def test_a_memfd_as_first_exec_is_reported_with_its_outcome(pods: Pods, warm: str) -> None:
    ran = pods.directory / "memfd"
    for _ in range(COLD):
        ran.unlink(missing_ok=True)
        made = pods.create("/usr/bin/run", "memfd", "/bin/busybox", "touch", "/shared/memfd")
        pods.node.begin(made)
        pods.settle(made, "/memfd:")
        assert pods.blocked(made, "/memfd:", "cold") == ran.exists()


def test_only_files_with_an_allowed_hash_run(pods: Pods) -> None:
    allowed = hashlib.sha256(altered_busybox(pods.bed.podman).read_bytes()).hexdigest()
    warm = pods.warm()
    pods.bed.publish(block_rule(pods.bed.podman, allow_list=[f"sha256:{allowed}"]))
    pods.bed.until(lambda: RAN in pods.run(warm, f"/tmp/busybox-probe echo {RAN}"))
    other = "cp /tmp/busybox-probe /tmp/busybox-other; echo >> /tmp/busybox-other; "
    out = pods.run(
        warm, f"{other} for i in $(seq 20); do /tmp/busybox-probe echo {RAN}; /tmp/busybox-other echo NO; done"
    )
    assert (out.count(RAN), out.count("NO")) == (20, 0)
