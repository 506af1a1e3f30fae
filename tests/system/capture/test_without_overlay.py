"""Containers whose root filesystem is no overlay: what is seen of them, and that the rest is counted and listed."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from sensor.capture.ebpf import open_ebpf
from sensor.capture.errors import CaptureUnavailable
from sensor.container.containerd import ContainerdRuntime
from sensor.container.podman import PodmanRuntime
from tests.system.capture.bed import Collector, PodBox, PodmanBox, Watch, app_files, note
from tests.system.capture.lines import OTHERS_CAUGHT, OTHERS_QUIET
from tests.system.containerd import Containerd
from tests.system.podman import BUSYBOX, Podman

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sensor.container.base import Runtime
    from tests.system.capture.bed import Box

pytestmark = pytest.mark.container

LIVES: Final = "sleep 0.05"
QUIET: Final = {
    "image binaries": "ls / >/dev/null; cat /etc/hosts; id",
    "image scripts": "/opt/entry.sh; cd /opt; ./entry.sh",
    "symlinks": f"/usr/bin/tool {LIVES}; tool ls; ln -s /bin/busybox /tmp/busybox-l; /tmp/busybox-l {LIVES}",
    "loader on an image binary": "/lib64/ld-linux-x86-64.so.2 /usr/bin/dynamic 0.05",
}
TOUCHED: Final = "touch /usr/bin/run /opt/entry.sh; run -- /bin/busybox true; /opt/entry.sh"
"""Not busybox: it would be touched while it runs, which a server's filesystem does not tell from a write."""
REPLACED: Final = "cp /tmp/busybox-sentinel /usr/bin/victim; /usr/bin/victim"
CAUGHT: Final = {
    "new file": (f"cp /tmp/busybox-sentinel /tmp/busybox-n; /tmp/busybox-n {LIVES}", "new_file", "/tmp/busybox-n"),
    "memfd": ("run memfd /bin/busybox sleep 1", "fileless", "/memfd:payload"),
    "volume": (f"cp /bin/busybox /data/busybox-v; /data/busybox-v {LIVES}", "volume", "/data/busybox-v"),
    "tmpfs": (f"cp /bin/busybox /scratch/busybox-v; /scratch/busybox-v {LIVES}", "volume", "/scratch/busybox-v"),
    "script": (
        f"printf '#!/bin/sh\\n{LIVES}\\nexit 0\\n' > /tmp/d.sh; chmod +x /tmp/d.sh; /tmp/d.sh",
        "script",
        "/tmp/d.sh",
    ),
    "loader": (
        "cp /usr/bin/dynamic /tmp/m; echo >> /tmp/m; /lib64/ld-linux-x86-64.so.2 /tmp/m 0.05",
        "loader",
        "/tmp/m",
    ),
}


class Storage(NamedTuple):
    """A container on one kind of storage, and how it is judged."""

    watch: Watch
    collector: Collector
    reason: str
    confidence: str

    def drift(self, script: str) -> list[tuple[str, str, str, str]]:
        events = self.watch.run(script, self.watch.box.id)["ebpf"]
        return [(event.kind, event.process.path, event.confidence, event.identity) for event in events]


@pytest.fixture(scope="module")
def image_directory(podman: Podman, image: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's files in a directory of the node, as for `podman run --rootfs`."""
    directory = tmp_path_factory.mktemp("rootfs")
    name = podman.create(image, "/bin/true")
    archive = directory.with_suffix(".tar")
    podman.command("export", "--output", str(archive), name)
    subprocess.run(["tar", "-xf", archive, "-C", directory], check=True)
    return directory


class Beds:
    """Makes a container on each kind of storage, watched by eBPF; `close` removes them all."""

    def __init__(self, podman: Podman, files: dict[str, str | Path], rootfs: Path, make: Callable[[str], Path]) -> None:
        self._podman, self._files, self._rootfs, self._make = podman, files, rootfs, make
        self._left = contextlib.ExitStack()
        self._altered = make("altered") / "busybox-altered"
        self._altered.write_bytes(BUSYBOX.read_bytes() + b"\0")
        self._altered.chmod(0o755)

    def close(self) -> None:
        self._left.close()

    def vfs(self) -> Storage:
        directory = self._make("vfs")
        options = ["--root", str(directory / "root"), "--runroot", str(directory / "run"), "--storage-driver=vfs"]
        podman = self._left.enter_context(Podman(directory, options))
        name = podman.run(
            podman.image("app", self._files), volumes=[f"{self._make('volume')}:/data"], tmpfs=["/scratch:exec"]
        )
        runtime = PodmanRuntime(directory / "root", driver="vfs")
        return self._storage(PodmanBox(podman, name), runtime, "no_overlay", "certain")

    def fuse(self) -> Storage:
        program = shutil.which("fuse-overlayfs")
        if program is None:
            pytest.skip("needs fuse-overlayfs")
        directory = self._make("fuse")
        options = ["--root", str(directory / "root"), "--runroot", str(directory / "run")]
        options += ["--storage-driver=overlay", f"--storage-opt=overlay.mount_program={program}"]
        podman = self._left.enter_context(Podman(directory, options))
        volumes = [f"{self._make('volume')}:/data"]
        name = podman.run(podman.image("app", self._files), volumes=volumes, tmpfs=["/scratch:exec"])
        return self._storage(PodmanBox(podman, name), PodmanRuntime(directory / "root"), "no_overlay", "certain")

    def rootfs(self) -> Storage:
        volumes = [f"{self._make('volume')}:/data"]
        options, tmpfs = ["--rootfs"], ["/scratch:exec"]
        name = self._podman.run(str(self._rootfs), volumes=volumes, tmpfs=tmpfs, options=options)
        return self._storage(PodmanBox(self._podman, name), PodmanRuntime(), "no_layers", "change_time")

    def native(self) -> Storage:
        if reason := Containerd.unusable():
            pytest.skip(reason)
        directory = self._make("native")
        node = self._left.enter_context(Native(directory, self._podman))
        image = self._podman.image("shop/native:1", self._files)
        node.pull(image)
        pod = node.pod("native", "shop", {"app": "native"}, uid="native")
        mounts = {"/data": self._make("volume"), "/scratch": self._tmpfs()}
        box = PodBox(node, node.start(pod, "app", image, mounts=mounts), "app")
        return self._storage(box, ContainerdRuntime(directory / "state/containerd.sock"), "no_layers", "change_time")

    def _tmpfs(self) -> Path:
        scratch = self._make("scratch")
        subprocess.run(["mount", "-t", "tmpfs", "driftwatch-test", scratch], check=True)
        self._left.callback(lambda: subprocess.run(["umount", "--lazy", scratch], check=True))
        return scratch

    def _storage(self, box: Box, runtime: Runtime, reason: str, confidence: str) -> Storage:
        try:
            collector = Collector(open_ebpf(runtimes=[runtime], ring_bytes=1024 * 1024))
        except CaptureUnavailable as error:
            pytest.skip(str(error))
        self._left.callback(collector.close)
        return Storage(Watch(box, {"ebpf": collector}, self._altered), collector, reason, confidence)


class Native(Containerd):
    """A containerd that copies each layer instead of mounting them on each other."""

    snapshotter = "native"


@pytest.fixture(scope="module", params=["vfs", "fuse", "rootfs", "native"])
def storage(
    request: pytest.FixtureRequest,
    podman: Podman,
    runner: Path,
    image_directory: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Storage]:
    beds = Beds(podman, app_files(runner), image_directory, tmp_path_factory.mktemp)
    try:
        yield getattr(beds, request.param)()
    finally:
        beds.close()


@pytest.mark.parametrize("name", QUIET)
def test_the_image_s_own_files_are_not_reported(storage: Storage, name: str, request: pytest.FixtureRequest) -> None:
    assert storage.drift(QUIET[name]) == []
    note(request, OTHERS_QUIET[1], "podman", "ebpf", [], [True])


@pytest.mark.parametrize("name", CAUGHT)
def test_drift_is_reported_with_how_certain_it_is(storage: Storage, name: str, request: pytest.FixtureRequest) -> None:
    script, kind, path = CAUGHT[name]
    on_root = path.startswith("/tmp/")
    confidence = storage.confidence if on_root else "certain"
    assert storage.drift(script) == [(kind, path, confidence, "complete")]
    if kind == "new_file":
        note(request, OTHERS_CAUGHT[3], "podman", "ebpf", [kind], [True])


def test_a_replaced_file_is_reported_and_a_touched_one_only_where_nothing_but_its_time_is_known(
    storage: Storage,
) -> None:
    knows_layers = storage.confidence == "certain"
    kind = "replaced" if knows_layers else "new_file"
    assert storage.drift(REPLACED) == [(kind, "/usr/bin/victim", storage.confidence, "complete")]
    touched = {("new_file", "/usr/bin/run"), ("script", "/opt/entry.sh")}
    by_time = {(kind, path, "change_time", "complete") for kind, path in touched}
    assert set(storage.drift(TOUCHED)) == (set() if knows_layers else by_time)


def test_the_container_is_listed_with_the_reason_until_it_ends(storage: Storage) -> None:
    storage.drift("true")
    gaps = storage.collector.capture.counters().gaps
    assert [(gap.container_id, gap.reason) for gap in gaps] == [(storage.watch.box.id, storage.reason)]
    assert storage.collector.capture.counters().lost == {}


def test_one_without_an_id_in_its_cgroup_is_known_by_its_root(
    runner: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As without root on cgroups of version 1: podman's containers stay in the cgroup of who started them."""
    directory = tmp_path_factory.mktemp("vfs")
    options = ["--root", str(directory / "root"), "--runroot", str(directory / "run"), "--storage-driver=vfs"]
    script = "until [ -e /tmp/go ]; do sleep 0.1; done; cp /bin/busybox /tmp/busybox-n; /tmp/busybox-n sleep 1000"
    with Podman(directory, options) as podman:
        name = podman.run(podman.image("app", app_files(runner)), "sh", "-c", script)
        for cgroup in topmost_cgroups():
            (cgroup / "cgroup.procs").write_text(f"{podman.pid(name)}")
        try:
            collector = Collector(open_ebpf(runtimes=[PodmanRuntime(directory / "root", driver="vfs")]))
        except CaptureUnavailable as error:
            pytest.skip(str(error))
        with contextlib.closing(collector):
            Path(f"/proc/{podman.pid(name)}/root/tmp/go").touch()
            event = collector.first(lambda event: event.container.id == podman.id(name))
    assert (event.kind, event.process.path, event.container.name) == ("copy_of_image_file", "/tmp/busybox-n", name)


def topmost_cgroups() -> list[Path]:
    """The root of each hierarchy of cgroups."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [Path(point) for _, point, kind, *_ in mounts if kind.startswith("cgroup") and point.startswith("/sys/")]
