"""The sensor's image under the delivered manifest: in podman with CRI-O's component, and as a real pod of containerd.

With SENSOR_IMAGE it is that image, as of scripts/image-check.sh; else one that is made of the wheel at once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sensor.wire import Owner
from tests.system import python_image, sensor_places
from tests.system.blocking_bed import RAN, block_rule
from tests.system.daemonset import Container, bounding_set, containers, mask
from tests.system.podman import BUSYBOX, Podman
from tests.system.sensor_places import InPod, InPodman, NodesContainerd, Place
from tests.system.stack import eventually
from tests.unit.sensor.deployed import DEPLOY, rendered
from tests.unit.sensor.fake_portal import FakePortal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sensor.wire import Event

pytestmark = [pytest.mark.container, pytest.mark.serial]

LABELS = {"app": "cart", "pod-template-hash": "7d9f5c6b4"}
PINS = Path("/sys/fs/bpf/driftwatch-00000000-0000-0000-0000-000000000007")
DOCTOR = """
import subprocess, sys
lines = subprocess.run(["driftwatch-sensor", "doctor"], capture_output=True, text=True).stdout.splitlines()
failed = [line for line in lines if line.startswith("FAIL")]
beside = "FAIL  Runtime podman: cannot be reached from here: "
sys.exit(not lines or any(not line.startswith(beside) for line in failed))
"""
"""Fails as the doctor does, but for the node's podman, which these tests use and a pod of the manifest cannot reach."""
"""Of the sensor that the portal of these tests makes."""


class Daemon:
    """The DaemonSet's pod on a node, and a drifting container beside it."""

    def __init__(self, place: Place, portal: FakePortal, image: str, directory: Path, components: list[str]) -> None:
        self.place, self.portal = place, portal
        self._image, self._directory, self._components = image, directory, components
        self.id = ""
        self.container: Container
        self.rule: dict[str, Any]
        """Blocks drift in that container, and nowhere else."""
        self.shell: Callable[[str], str]
        """Runs a script in the container that drifts; returns what it prints."""

    def roll_out(self, *components: str) -> None:
        """As the kubelet does: enrol, then run; waits until the policy is applied."""
        manifests = rendered(self._overlay([*self._components, *components]))
        state = self._directory / "state"
        state.mkdir(exist_ok=True)
        places = {"/var/lib/driftwatch-sensor": state, "/run/crio": state}
        of_pod = containers(manifests, {"token": "dwe_token"}, places)
        assert self.place.ended(enrolled := self.place.start(of_pod["enrol"])) == 0, self.place.log(enrolled)
        self.container = of_pod["sensor"]
        self.start()

    def start(self) -> None:
        before = len(self.portal.statuses)
        self.id = self.place.start(self.container)
        self._await(lambda: len(self.portal.statuses) > before)

    def _overlay(self, components: list[str]) -> Path:
        """A kustomization as docs/sensor.md has one."""
        directory = self._directory / "overlay"
        directory.mkdir(exist_ok=True)
        base = os.path.relpath(DEPLOY, directory.resolve())
        name, _, tag = self._image.rpartition(":")
        literals = [f"PORTAL={self.portal.url}", "CLUSTER=shop-eu"]
        overlay = {
            "resources": [base],
            "components": [f"{base}/components/{each}" for each in components],
            "namespace": "driftwatch",
            "configMapGenerator": [{"name": "driftwatch-sensor", "behavior": "merge", "literals": literals}],
            "images": [{"name": "registry.example/driftwatch-sensor", "newName": name, "newTag": tag}],
        }
        (directory / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        return directory

    def kill(self) -> None:
        os.kill(self.place.pid(self.id), signal.SIGKILL)
        assert self.place.ended(self.id) == 128 + signal.SIGKILL

    def drift(self, name: str) -> str:
        """Copy a binary and run it; what it printed."""
        path = f"/tmp/{name}"
        return self.shell(f"cat /bin/busybox > {path}; echo >> {path}; chmod +x {path}; {path} echo {RAN}")

    def event(self, path: str) -> Event:
        """The event of a file that ran, once it has arrived."""
        self._await(lambda: self._found(path) is not None)
        found = self._found(path)
        assert found is not None
        return found

    def _found(self, path: str) -> Event | None:
        return next((each for each in list(self.portal.events.values()) if each.process.path == path), None)

    def _await(self, holds: Callable[[], bool]) -> None:
        try:
            self.portal.wait(holds, 30.0)
        except AssertionError:
            raise AssertionError(f"in vain: {self.place.log(self.id)}") from None

    def metrics(self) -> dict[str, float]:
        """What it serves on the port of its manifest."""
        (port,) = [arg.partition("=")[2] for arg in self.container.args if arg.startswith("--metrics-port")]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


@pytest.fixture(scope="module")
def sensor_of(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The sensor's image."""
    return os.environ.get("SENSOR_IMAGE") or python_image.sensor(podman, tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module", params=["podman", "pod"])
def daemon(
    request: pytest.FixtureRequest, podman: Podman, sensor_of: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    directory = tmp_path_factory.mktemp("daemon")
    workload = podman.image("blocked", {"/bin/busybox-tool": BUSYBOX})
    with contextlib.ExitStack() as left, FakePortal().serving() as portal:
        left.callback(shutil.rmtree, PINS, ignore_errors=True)
        portal.publish(1, {"schema": 1, "rules": [], "default": {"action": "alert"}})
        if request.param == "podman":
            daemon = Daemon(InPodman(podman), portal, sensor_of, directory, ["cri-o"])
            app = podman.run(workload)
            daemon.shell = lambda script: podman.shell(app, script, check=False).stdout.decode()
        else:
            node = left.enter_context(nodes_containerd(podman, directory))
            node.pull(sensor_of)
            node.pull(workload)
            (directory / "logs").mkdir()
            daemon = Daemon(InPod(node, directory / "logs"), portal, sensor_of, directory, [])
            box = node.start(node.pod("cart-7d9f5c6b4-x2kfz", "shop", LABELS), "app", workload)
            daemon.shell = lambda script: node.output(box, script)
        daemon.rule = block_rule(podman)
        daemon.roll_out()
        yield daemon
        daemon.place.terminate(daemon.id, 20)


@contextlib.contextmanager
def nodes_containerd(podman: Podman, directory: Path) -> Iterator[NodesContainerd]:
    if reason := sensor_places.home_unusable():
        pytest.skip(reason)
    with NodesContainerd(directory, podman) as node:
        yield node


def test_the_node_is_enrolled_by_its_name_and_healthy(daemon: Daemon) -> None:
    (asked,) = daemon.portal.enrolments
    assert (asked.node, asked.cluster.name, asked.token) == ("node-7", "shop-eu", "dwe_token")
    eventually(lambda: daemon.place.exec(daemon.id, daemon.container.probes["startupProbe"]) == 0, "it is well")
    for command in daemon.container.probes.values():
        assert daemon.place.exec(daemon.id, command) == 0
    assert daemon.place.exec(daemon.id, ["python", "-c", DOCTOR]) == 0


def test_it_has_the_privileges_of_its_manifest_and_no_more(daemon: Daemon) -> None:
    pid = daemon.place.pid(daemon.id)
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    context = daemon.container.context
    may = mask(context["capabilities"]["add"]) & bounding_set()
    assert [int(status[name], 16) for name in ("CapBnd", "CapPrm", "CapEff")] == [may, may, may]
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == ("2" if context["seccompProfile"]["type"] == "RuntimeDefault" else "0")
    (root,) = [line for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines() if line.split()[4] == "/"]
    assert root.split()[5].startswith("ro")
    for directory in ("/", "/tmp", "/run/containerd", "/var/lib/containers"):
        assert daemon.place.exec(daemon.id, ["python", "-c", f"open('{directory}/x', 'w')"]) == 1


def test_drift_is_reported_in_full_and_nothing_is_lost(daemon: Daemon) -> None:
    assert RAN in daemon.drift("busybox-miner")
    event = daemon.event("/tmp/busybox-miner")
    assert (event.kind, event.identity, event.process.hash_status) == ("new_file", "complete", "ok")
    container = event.container
    assert "/blocked" in (container.image_name or "")
    if isinstance(daemon.place, InPod):
        assert (container.namespace, container.pod_name) == ("shop", "cart-7d9f5c6b4-x2kfz")
        assert (container.pod_labels, container.owner) == (LABELS, Owner("Deployment", "cart"))
    daemon.shell("touch /bin/busybox; ls /; env")
    metrics = daemon.metrics()
    assert {name: count for name, count in metrics.items() if "lost_total" in name and count} == {}
    assert metrics["driftwatch_sensor_resident_bytes"] < daemon.container.limits["memory"]
    seen = [each for each in list(daemon.portal.events.values()) if each.container.id == container.id]
    assert {each.process.path for each in seen} == {"/tmp/busybox-miner"}


def test_execs_after_a_kill_are_read_by_the_next_sensor(daemon: Daemon) -> None:
    daemon.kill()
    assert RAN in daemon.drift("busybox-unseen")
    daemon.start()
    assert daemon.event("/tmp/busybox-unseen").process.hash_status == "ok"


def test_it_stops_on_sigterm_and_the_next_one_may_block_more(daemon: Daemon) -> None:
    before = time.monotonic()
    daemon.place.terminate(daemon.id, daemon.container.grace)
    assert daemon.place.ended(daemon.id) == 0
    assert time.monotonic() - before < daemon.container.grace
    assert RAN in daemon.drift("busybox-between")
    daemon.roll_out("sys-admin")
    assert len(daemon.portal.enrolments) == 1
    daemon.event("/tmp/busybox-between")
    daemon.portal.publish(2, {"schema": 1, "rules": [daemon.rule], "default": {"action": "alert"}})
    daemon.portal.push("policy", {"number": 2, "etag": daemon.portal.etag})
    eventually(lambda: RAN not in daemon.drift("busybox-blocked"), "a new file is stopped")
    daemon.shell("cat /bin/busybox > /bin/tool; echo >> /bin/tool; cat /bin/tool > /bin/busybox-tool")
    eventually(lambda: RAN not in daemon.shell(f"busybox-tool echo {RAN}"), "a replaced file is held and stopped")
    assert daemon.shell(f"touch /bin/busybox; echo {RAN}; env echo {RAN}").count(RAN) == 2
