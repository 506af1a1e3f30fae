"""Attribution on real Kubernetes pods: a runtime with CRI, without a cluster."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from sensor.capture.ebpf import open_ebpf
from sensor.capture.errors import CaptureUnavailable
from sensor.wire import Owner
from tests.system import needs
from tests.system.capture.bed import Collector
from tests.system.node import Node, Pod
from tests.system.podman import Podman

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.wire import Event

pytestmark = pytest.mark.container

ROOT = Path(__file__).parents[2]
LABELS = {"app": "cart", "pod-template-hash": "7d9f5c6b4", "team": "shop"}
DROP = "cat /bin/busybox > /tmp/busybox-miner; echo >> /tmp/busybox-miner; chmod +x /tmp/busybox-miner"


@pytest.fixture(scope="module")
def image(podman: Podman, node: Node) -> str:
    reference = podman.image("shop/cart:1.2")
    node.pull(reference)
    return reference


@pytest.fixture(scope="module")
def capture(node: Node) -> Iterator[Collector]:
    try:
        opened = open_ebpf(runtimes=[node.runtime])
    except CaptureUnavailable as error:
        pytest.skip(str(error))
    collector = Collector(opened)
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def pod(node: Node) -> Pod:
    return node.pod("cart-7d9f5c6b4-x2kfz", "shop", LABELS, uid="0f2c2c52-9a4c-4c5f-8a55-6d6a3c0f9e11")


@pytest.fixture(scope="module")
def box(node: Node, capture: Collector, pod: Pod, image: str) -> str:
    return node.start(pod, "app", image)


class Watch:
    """The drift that a script causes in a container."""

    numbers = itertools.count()

    def __init__(self, node: Node, capture: Collector, container: str) -> None:
        self._node, self._capture, self._container = node, capture, container

    def drift(self, script: str) -> list[Event]:
        last = f"last-{next(self.numbers)}"
        marker = f"{DROP.replace('miner', 'last')}; /tmp/busybox-last true {last}"
        assert self._node.shell(self._container, f"{script}\n{marker}") == 0
        return self._capture.until(self._container, lambda event: event.process.argv[-1] == last)


@pytest.fixture
def watch(node: Node, capture: Collector, box: str) -> Watch:
    return Watch(node, capture, box)


def test_a_binary_dropped_in_a_pod_is_reported_with_the_pod_s_names_labels_and_owner(
    watch: Watch, box: str, image: str
) -> None:
    (event,) = watch.drift(f"{DROP}; /tmp/busybox-miner true")
    assert (event.kind, event.identity, event.process.path) == ("new_file", "complete", "/tmp/busybox-miner")
    assert (event.process.hash_status, event.process.argv) == ("ok", ["/tmp/busybox-miner", "true"])
    container = event.container
    assert (container.id, container.name, container.runtime) == (box, "app", needs.NODE.name)
    assert (container.namespace, container.pod_name) == ("shop", "cart-7d9f5c6b4-x2kfz")
    assert container.pod_uid == "0f2c2c52-9a4c-4c5f-8a55-6d6a3c0f9e11"
    assert container.pod_labels == LABELS
    assert container.owner == Owner("Deployment", "cart")
    assert container.image_name == image
    assert (container.image_digest or "").startswith("sha256:")


def test_image_binaries_even_touched_ones_are_not_drift_in_a_pod(watch: Watch) -> None:
    assert watch.drift("ls /; touch /bin/busybox; cat /dev/null; env") == []


def test_a_short_lived_container_is_named_in_full(node: Node, capture: Collector, pod: Pod, image: str) -> None:
    short = node.start(pod, "short", image, "/bin/sh", "-c", f"{DROP}; /tmp/busybox-miner true; exec true")
    node.remove(short)
    last = node.start(pod, "last", image, "/bin/sh", "-c", f"{DROP}; /tmp/busybox-miner true last")
    (event,) = capture.until(short, lambda event: event.container.id == last)
    assert (event.identity, event.container.name, event.container.namespace) == ("complete", "short", "shop")
    assert (event.container.pod_labels, event.container.image_name) == (LABELS, image)


WATCHER = """
import sys
from pathlib import Path
from sensor.capture.ebpf import open_ebpf
from tests.system import needs

capture = open_ebpf(runtimes=[needs.NODE.seen(Path(sys.argv[1]))])
print("ready", flush=True)
while True:
    for event in capture.read(0.1):
        seen = event.kind, event.process.hash_status, event.container.pod_name, event.process.argv[-1]
        print(*seen, flush=True)
    capture.commit()
"""


def test_the_daemonset_s_capabilities_are_enough(node: Node, pod: Pod, image: str) -> None:
    manifest = yaml.safe_load((ROOT / "deploy/sensor/daemonset.yaml").read_text())
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    added = container["securityContext"]["capabilities"]["add"]
    dropped = ["--inh-caps=-all", f"--bounding-set=-all,{','.join(f'+{name.lower()}' for name in added)}"]
    command = ["setpriv", *dropped, "--no-new-privs", sys.executable, "-c", WATCHER, str(node.directory)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as watcher:
        try:
            assert watcher.stdout is not None
            assert watcher.stdout.readline() == "ready\n"
            box = node.start(pod, "bounded", image)
            node.shell(box, f"touch /bin/busybox; ls; {DROP}; /tmp/busybox-miner true bounded")
            assert watcher.stdout.readline() == "new_file ok cart-7d9f5c6b4-x2kfz bounded\n"
        finally:
            watcher.kill()
