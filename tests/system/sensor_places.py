"""Where tests run the DaemonSet's pod: in podman, and as a real pod of a containerd in the node's directories."""

from __future__ import annotations

import abc
import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.container.mounts import read_mounts, topmost_mount
from sensor.container.protobuf import field
from tests.system import podman
from tests.system.containerd import CONFIG, PROGRAM, Containerd
from tests.system.daemonset import cri_container, cri_sandbox, podman_options
from tests.system.node import EXITED, Pod
from tests.system.stack import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.container.protobuf import ProtobufMessage
    from tests.system.daemonset import Container
    from tests.system.podman import Podman

STATE: Final = Path("/run/containerd")
ROOT: Final = Path("/var/lib/containerd")
OURS: Final = ROOT / "driftwatch-test"
"""Says that a test made that directory; it may have been cut off."""


class Place(abc.ABC):
    """Runs containers of the pod, one at a time."""

    @abc.abstractmethod
    def start(self, container: Container) -> str:
        """Begin to run one; returns its id."""

    @abc.abstractmethod
    def ended(self, container_id: str) -> int:
        """Wait until it has ended; its exit status."""

    @abc.abstractmethod
    def exec(self, container_id: str, command: Sequence[str]) -> int:
        """The exit status of a command in it, as of a probe."""

    @abc.abstractmethod
    def pid(self, container_id: str) -> int:
        """The node's pid of its first process."""

    @abc.abstractmethod
    def terminate(self, container_id: str, grace: int) -> None:
        """SIGTERM, and SIGKILL after so many seconds."""

    @abc.abstractmethod
    def log(self, container_id: str) -> str:
        """What it said on standard error."""


class InPodman(Place):
    """As a container of podman."""

    def __init__(self, podman: Podman, network: str = "host") -> None:
        self._podman, self._network = podman, network

    def start(self, container: Container) -> str:
        options = podman_options(container)
        return self._podman.run(container.image, *container.args, options=options, network=self._network)

    def ended(self, container_id: str) -> int:
        return int(self._podman.command("wait", container_id).stdout)

    def exec(self, container_id: str, command: Sequence[str]) -> int:
        return self._podman.exec(container_id, *command, check=False).returncode

    def pid(self, container_id: str) -> int:
        return self._podman.pid(container_id)

    def terminate(self, container_id: str, grace: int) -> None:
        self._podman.command("stop", f"--time={grace}", container_id)

    def log(self, container_id: str) -> str:
        return self._podman.command("logs", container_id).stderr.decode()


def home_unusable() -> str:
    """Why the node's own directories can't be used, or "": another containerd uses them, or has."""
    return f"{ROOT} is another containerd's" if ROOT.exists() and not OURS.exists() else ""


class NodesContainerd(Containerd):
    """The containerd of this node, at the paths where a node has it."""

    def __init__(self, directory: Path, images: Podman) -> None:
        with contextlib.ExitStack() as left:
            left.callback(_clear)
            ROOT.mkdir(parents=True, exist_ok=True)
            OURS.touch()
            for each in (STATE, ROOT):
                each.mkdir(parents=True, exist_ok=True)
                # CRI passes mounts on (HostToContainer) of what is shared alone, as all is where systemd is.
                subprocess.run(["mount", "--bind", each, each], check=True)
                subprocess.run(["mount", "--make-shared", each], check=True)
            super().__init__(directory, images)
            self._left = left.pop_all()

    @property
    def socket(self) -> Path:
        return STATE / "containerd.sock"

    def _command(self) -> Sequence[str]:
        config = self.directory / "config.toml"
        places = {"root": ROOT, "state": STATE, "sandbox": self._sandbox, "snapshotter": self.snapshotter}
        config.write_text(CONFIG.format(**places, systemd=str(podman.has_systemd()).lower()))
        return [PROGRAM, "--config", str(config)]

    def sandbox(self, config: bytes) -> Pod:
        """A pod as CRI's PodSandboxConfig says."""
        pod = Pod(self._call("RunPodSandbox", field(1, config)).text(1), config)
        self._pods.append(pod)
        return pod

    def call(self, method: str, *parts: bytes) -> ProtobufMessage:
        """One of CRI."""
        return self._call(method, b"".join(parts))

    def close(self) -> None:
        """Leaves nothing on the node but what other containerds keep there, too."""
        with self._left:
            super().close()


def _clear() -> None:
    """Take away what this or a test that was cut off left in those directories."""
    for each in (STATE, ROOT):
        while _is_on_itself(each):
            subprocess.run(["umount", "--lazy", each], check=True)
    shutil.rmtree(ROOT)
    for left in STATE.iterdir():
        if left.name.startswith("io.containerd."):
            shutil.rmtree(left)
        elif left.name.startswith("containerd.sock"):
            left.unlink()


def _is_on_itself(directory: Path) -> bool:
    """Whether it is mounted, and from the place that it has: as these tests do it, and hardly anybody else."""
    mount = topmost_mount(read_mounts(os.getpid()), bytes(directory))
    return mount is not None and mount.root != b"/" and bytes(directory).endswith(mount.root)


class InPod(Place):
    """As a container of a pod."""

    def __init__(self, node: NodesContainerd, logs: Path) -> None:
        self._node, self._logs = node, logs
        self._pod: Pod | None = None
        self._attempts = 0

    def start(self, container: Container) -> str:
        if self._pod is None:
            self._pod = self._node.sandbox(cri_sandbox(container, self._logs))
        self._attempts += 1
        config = cri_container(container, self._attempts)
        parts = field(1, self._pod.id), field(2, config), field(3, self._pod.config)
        container_id = self._node.call("CreateContainer", *parts).text(1)
        self._node.begin(container_id)
        return container_id

    def ended(self, container_id: str) -> int:
        eventually(lambda: self._status(container_id).number(3) == EXITED, "the container ends")
        return self._status(container_id).number(7)

    def _status(self, container_id: str) -> ProtobufMessage:
        return self._node.call("ContainerStatus", field(1, container_id)).message(1)

    def exec(self, container_id: str, command: Sequence[str]) -> int:
        words = b"".join(field(2, word) for word in command)
        return self._node.call("ExecSync", field(1, container_id), words).number(3)

    def pid(self, container_id: str) -> int:
        return self._node.pid(container_id)

    def terminate(self, container_id: str, grace: int) -> None:
        self._node.call("StopContainer", field(1, container_id), field(2, grace))

    def log(self, container_id: str) -> str:
        return "".join(path.read_text() for path in sorted(self._logs.iterdir()))
