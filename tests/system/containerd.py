"""A real containerd with Kubernetes' CRI for tests: its own folders and socket, host-network pods, no network."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sensor.container.cri import Cri, CriError
from sensor.container.protobuf import field
from tests.system import podman

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sensor.container.protobuf import Message
    from tests.system.podman import Podman

CONFIG = """\
version = 2
root = "{root}"
state = "{state}"
[grpc]
  address = "{state}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{sandbox}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = {systemd}
"""
SLICE = "kubepods.slice"
"""Where systemd makes pods' cgroups, as the kubelet asks for."""
NODE_NETWORK = 2
EXITED = 2
PATIENCE = 20.0
"""Seconds for one call or for the start: the machine may be busy."""


def unusable() -> str:
    """Why pods can't be run here, or "" where they can."""
    missing = [program for program in ("containerd", "ctr") if shutil.which(program) is None]
    return podman.unusable() or (f"pod tests need {' and '.join(missing)}" if missing else "")


@dataclasses.dataclass(frozen=True)
class Pod:
    """A running sandbox, and the configuration that it was made with."""

    id: str
    config: bytes


class Containerd:
    """One containerd of its own below `folder`; `close` (or leaving the `with`) removes pods and daemon.

    Images come from `images`, which is a podman bed: there is no registry to pull from.
    """

    def __init__(self, folder: Path, images: Podman) -> None:
        self.state = folder / "state"
        self._images = images
        self._folder = folder
        self._pods: list[Pod] = []
        self._numbers = itertools.count()
        sandbox = images.image("pause:1", command=["/bin/sleep", "3600"])
        self._start(sandbox)
        self.pull(sandbox)

    @property
    def socket(self) -> Path:
        return self.state / "containerd.sock"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, sandbox: str) -> None:
        config = self._folder / "config.toml"
        places = {"root": self._folder / "root", "state": self.state, "sandbox": sandbox}
        config.write_text(CONFIG.format(**places, systemd=str(podman.has_systemd()).lower()))
        with (self._folder / "log").open("wb") as log:
            self._daemon = subprocess.Popen(["containerd", "--config", str(config)], stdout=log, stderr=log)
        self._cri = Cri(self.socket, timeout=PATIENCE, rest=0.0)
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return bool(self._cri.version())
        except CriError:
            return False

    def pull(self, reference: str) -> None:
        """Take an image over from podman, under the same reference and, as after a pull, its digest."""
        archive = self._folder / f"image{next(self._numbers)}.tar"
        self._images.command("save", "--quiet", "--output", str(archive), reference)
        self._ctr("images", "import", str(archive))
        listed = self._ctr("images", "list", f"name=={reference}").splitlines()[1].split()
        self._ctr("images", "tag", reference, f"{reference.rpartition(':')[0]}@{listed[2]}")

    def _ctr(self, *arguments: str) -> str:
        command = ["ctr", "--address", str(self.socket), "--namespace", "k8s.io", *arguments]
        return subprocess.run(command, check=True, capture_output=True, timeout=60, text=True).stdout

    def pod(
        self, name: str, namespace: str, labels: Mapping[str, str], uid: str = "uid-1", *, privileged: bool = False
    ) -> Pod:
        """Run an empty pod on the host's network."""
        metadata = field(1, name) + field(2, uid) + field(3, namespace)
        security = field(1, _host_network()) + field(6, int(privileged))
        parent = field(1, SLICE) if podman.has_systemd() else b""
        config = field(1, metadata) + _map(6, labels) + field(8, parent + field(2, security))
        pod = Pod(self._call("RunPodSandbox", field(1, config)).text(1), config)
        self._pods.append(pod)
        return pod

    def start(
        self,
        pod: Pod,
        name: str,
        image: str,
        *command: str,
        mounts: Mapping[str, Path] | None = None,
        privileged: bool = False,
    ) -> str:
        """Run a container in a pod; see `create`."""
        container_id = self.create(pod, name, image, *command, mounts=mounts, privileged=privileged)
        self.begin(container_id)
        return container_id

    def create(
        self,
        pod: Pod,
        name: str,
        image: str,
        *command: str,
        mounts: Mapping[str, Path] | None = None,
        privileged: bool = False,
    ) -> str:
        """Make a container in a pod (`sleep` for an hour where no command is given); returns its id.

        `mounts` are folders of the host by their path in the container.
        """
        config = field(1, field(1, name)) + field(2, field(1, image))
        config += b"".join(field(3, word) for word in command or ("/bin/sleep", "3600"))
        config += b"".join(field(7, field(1, point) + field(2, str(path))) for point, path in (mounts or {}).items())
        config += field(15, field(2, field(2, int(privileged)) + field(3, _host_network())))
        request = field(1, pod.id) + field(2, config) + field(3, pod.config)
        return self._call("CreateContainer", request).text(1)

    def begin(self, container_id: str) -> None:
        """Start a container that was made."""
        self._call("StartContainer", field(1, container_id))

    def own_layer(self, container_id: str) -> Path:
        """The upper layer of a container, of which nothing is mounted before it starts."""
        said = self._ctr("snapshots", "mounts", "/nowhere", container_id)
        return Path(said.partition("upperdir=")[2].partition(",")[0])

    def shell(self, container_id: str, script: str) -> int:
        """Run a shell script in a running container and wait for it; its exit status."""
        return self._run(container_id, script).number(3)

    def output(self, container_id: str, script: str) -> str:
        """The same; what it prints."""
        return self._run(container_id, script).text(1)

    def _run(self, container_id: str, script: str) -> Message:
        words = b"".join(field(2, word) for word in ("/bin/sh", "-c", script))
        return self._call("ExecSync", field(1, container_id) + words)

    def pid(self, container_id: str) -> int:
        """The host's pid of a container's first process."""
        return int((self.state / "io.containerd.runtime.v2.task/k8s.io" / container_id / "init.pid").read_text())

    def remove(self, container_id: str) -> None:
        """Wait until a container has ended, and remove all that the runtime knows of it."""
        deadline = time.monotonic() + PATIENCE
        while self._call("ContainerStatus", field(1, container_id)).message(1).number(3) != EXITED:
            assert time.monotonic() < deadline, "the container did not end"
            time.sleep(0.01)
        self._call("RemoveContainer", field(1, container_id))

    def close(self) -> None:
        """Remove the pods and stop the daemon."""
        try:
            for pod in self._pods:
                self._call("StopPodSandbox", field(1, pod.id))
                self._call("RemovePodSandbox", field(1, pod.id))
        finally:
            self._cri.close()
            self._daemon.terminate()
            self._daemon.wait(timeout=PATIENCE)

    def _call(self, method: str, request: bytes) -> Message:
        answer = self._cri.call(method, request)
        assert answer is not None, f"{method}: not found"
        return answer


def _host_network() -> bytes:
    """NamespaceOption with the node's network: no CNI plugin is needed."""
    return field(1, NODE_NETWORK)


def _map(number: int, items: Mapping[str, str]) -> bytes:
    return b"".join(field(number, field(1, key) + field(2, value)) for key, value in items.items())
