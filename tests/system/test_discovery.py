"""Containers of runtimes in unusual places are named, though no option names the place."""

from __future__ import annotations

import itertools
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sensor.capture.ebpf import open_ebpf
from sensor.capture.errors import CaptureUnavailable
from sensor.commands.doctor import checks
from sensor.container import discovery, identify
from sensor.container.runtimes import runtimes_of_node
from tests.system.capture.bed import PATIENCE, Collector
from tests.system.containerd import PROGRAM, Containerd
from tests.system.podman import Podman

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.wire import Event

pytestmark = pytest.mark.container

NEW = "cat /bin/busybox > /tmp/busybox-new; chmod +x /tmp/busybox-new; /tmp/busybox-new true {}"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    monkeypatch.setattr(discovery, "SEARCH_SECONDS", 0.5)
    monkeypatch.setattr(identify, "FORGET_AFTER", 0.5)
    try:
        opened = Collector(open_ebpf(runtimes=runtimes_of_node(), ring_bytes=1024 * 1024))
    except CaptureUnavailable as error:
        pytest.skip(str(error))
    yield opened
    opened.close()


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    directory = tmp_path_factory.mktemp("boxes")
    options = ["--root", str(directory / "boxes"), "--runroot", str(directory / "run"), "--storage-driver=overlay"]
    with Podman(directory, options) as podman:
        yield podman


def drifted(collector: Collector, number: int) -> Event:
    """Return the event of a container's copy of the image's busybox."""
    seen: list[Event] = []

    def is_it(event: Event) -> bool:
        if event.process.argv[-1:] == [str(number)]:
            seen.append(event)
        return bool(seen)

    collector.until("", is_it)
    return seen[0]


def named_once_it_is_found(podman: Podman, name: str, collector: Collector) -> Event:
    """Return the first event that has the container's name: a search just before it started delays the next one."""
    until = time.monotonic() + PATIENCE
    for number in itertools.count(100):
        podman.shell(name, NEW.format(number))
        event = drifted(collector, number)
        if event.identity == "complete" or time.monotonic() > until:
            return event
    raise AssertionError


def wait_for(socket: Path) -> None:
    """Wait until a daemon has made its socket."""
    until = time.monotonic() + PATIENCE
    while not socket.exists():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_podman_with_a_storage_root_of_its_own(elsewhere: Podman, collector: Collector) -> None:
    image = elsewhere.image("app")
    name = elsewhere.run(image)
    event = named_once_it_is_found(elsewhere, name, collector)
    assert (event.identity, event.kind, event.process.hash_status) == ("complete", "copy_of_image_file", "ok")
    assert (event.container.name, event.container.image_name) == (name, image)
    advice = [check.advice for check in checks(Path("/none")) if check.name == "Runtime podman"]
    assert any(text.startswith(str(elsewhere.directory / "boxes")) for text in advice)


def test_podman_with_images_in_another_store(
    elsewhere: Podman, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As of bootable systems, whose images come with the system (storage.conf(5), additionalimagestores)."""
    directory = tmp_path_factory.mktemp("shared")
    options = ["--root", str(directory / "boxes"), "--runroot", str(directory / "run"), "--storage-driver=overlay"]
    store = str(elsewhere.directory / "boxes")
    with Podman(directory, [*options, "--storage-opt", f"additionalimagestore={store}"]) as podman:
        image = elsewhere.image("app")
        event = named_once_it_is_found(podman, podman.run(image), collector)
    assert (event.identity, event.kind, event.process.hash_status) == ("complete", "copy_of_image_file", "ok")
    assert event.container.image_name == image


def test_containerd_with_its_socket_beside_its_state_and_a_namespace_of_its_own(
    podman: Podman, collector: Collector, tmp_path: Path
) -> None:
    """As of k0s and MicroK8s, with a container as nerdctl makes it."""
    if reason := Containerd.unusable():
        pytest.skip(reason)
    image, archive = podman.image("shop/cart:1.2"), tmp_path / "image.tar"
    podman.command("save", "--format=oci-archive", "--output", str(archive), image)
    state, socket, container_id = tmp_path / "k/containerd", tmp_path / "k/containerd.sock", "ab" * 32
    config = tmp_path / "config.toml"
    config.write_text(
        f'version = 2\nroot = "{tmp_path}/root"\nstate = "{state}"\n[grpc]\n  address = "{socket}"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.nri.v1.nri"]\n'
    )
    ctr = [str(Path(PROGRAM).with_name("ctr")), "--address", str(socket), "--namespace", "default"]

    def run(*arguments: str) -> None:
        subprocess.run([*ctr, *arguments], check=True, capture_output=True, timeout=60)

    daemon = subprocess.Popen([PROGRAM, "--config", str(config)], stderr=(tmp_path / "log").open("wb"))
    try:
        wait_for(socket)
        run("images", "import", str(archive))
        labels = ["--label", "nerdctl/name=cart"]
        run("run", "--detach", *labels, image, container_id, "/bin/sleep", "3600")
        try:
            run("tasks", "exec", "--exec-id", "one", container_id, "/bin/sh", "-c", NEW.format(72))
            event = drifted(collector, 72)
            assert (event.container.id, event.container.name) == (container_id, "cart")
            assert (event.container.image_name, event.identity) == (image, "complete")
            assert (event.kind, event.process.hash_status) == ("copy_of_image_file", "ok")
        finally:
            run("tasks", "kill", "--signal", "SIGKILL", container_id)
            subprocess.run([*ctr, "tasks", "delete", "--force", container_id], check=False, capture_output=True)
            subprocess.run([*ctr, "containers", "delete", container_id], check=False, capture_output=True)
    finally:
        daemon.terminate()
        daemon.wait(30)
