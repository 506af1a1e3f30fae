"""A node's runtime with Kubernetes' CRI for tests: its own directories and socket, host-network pods, no network."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import itertools
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from sensor.container.cri import Cri, CriError
from sensor.container.protobuf import field
from tests.system import podman

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sensor.container.base import Runtime
    from sensor.container.protobuf import ProtobufMessage
    from tests.system.podman import Podman

SLICE: Final = "kubepods.slice"
"""Where systemd makes pods' cgroups, as the kubelet asks for."""
NODE_NETWORK: Final = 2
POD_PIDS, OWN_PIDS, NODE_PIDS, TARGET_PIDS = 0, 1, 2, 3
"""Whose pid namespace a container has: its pod's (`shareProcessNamespace`), its own, as a kubelet asks for by default,
the node's (`hostPID`), or that of another container (`kubectl debug --target`)."""
EXITED: Final = 2
PATIENCE: Final = 20.0
"""Seconds for one call or for the start: the machine may be busy."""


@dataclasses.dataclass(frozen=True)
class Pod:
    """A running sandbox, and the configuration that it was made with."""

    id: str
    config: bytes


class Node(abc.ABC):
    """One runtime of its own below `directory`; `close` (or leaving the `with`) removes pods and daemon.

    Images come from `images`, which is a podman bed: there is no registry to pull from.
    """

    name: str
    """What events call the runtime."""

    def __init__(self, directory: Path, images: Podman) -> None:
        self.directory = directory
        self._images = images
        self._pods: list[Pod] = []
        self._numbers = itertools.count()
        self._sandbox = images.image("pause:1", command=["/bin/sleep", "3600"])
        self._start()
        with contextlib.ExitStack() as left:
            left.callback(self._stop)
            self._await_answer()
            self.pull(self._sandbox)
            left.pop_all()

    @staticmethod
    @abc.abstractmethod
    def unusable() -> str:
        """Why it can't be run here, or "" where it can."""

    @property
    @abc.abstractmethod
    def socket(self) -> Path:
        """Where it answers, once it runs."""

    @staticmethod
    @abc.abstractmethod
    def seen(directory: Path) -> Runtime:
        """The sensor's view of the one that runs in this directory."""

    @property
    def runtime(self) -> Runtime:
        """The sensor's view of it."""
        return self.seen(self.directory)

    @abc.abstractmethod
    def pull(self, reference: str) -> None:
        """Take an image over from podman, under the same reference and, as after a pull, its digest."""

    @abc.abstractmethod
    def own_layer(self, container_id: str) -> Path:
        """Where files of its own layer can be put before a container starts."""

    @abc.abstractmethod
    def pid(self, container_id: str) -> int:
        """The host's pid of a container's first process."""

    @abc.abstractmethod
    def _command(self) -> Sequence[str]:
        """The daemon's command; writes what that reads."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        with (self.directory / "log").open("wb") as log:
            self._daemon = subprocess.Popen(self._command(), stdout=log, stderr=log)
        self._cri = Cri(self.socket, timeout=PATIENCE, rest=0.0)

    def _await_answer(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert time.monotonic() < deadline, (self.directory / "log").read_text()
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return bool(self._cri.version())
        except CriError:
            return False

    def _saved(self, reference: str) -> Path:
        """An archive of an image of podman's."""
        archive = self.directory / f"image{next(self._numbers)}.tar"
        self._images.command("save", "--quiet", "--output", str(archive), reference)
        return archive

    def pod(
        self,
        name: str,
        namespace: str,
        labels: Mapping[str, str],
        uid: str = "uid-1",
        *,
        privileged: bool = False,
        pids: int = OWN_PIDS,
    ) -> Pod:
        """Run an empty pod on the host's network."""
        metadata = field(1, name) + field(2, uid) + field(3, namespace)
        security = field(1, namespace_options(pids)) + field(6, int(privileged))
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
        read_only: bool = False,
        pids: int = OWN_PIDS,
        target: str = "",
    ) -> str:
        """Run a container in a pod; see `create`."""
        container_id = self.create(
            pod,
            name,
            image,
            *command,
            mounts=mounts,
            privileged=privileged,
            read_only=read_only,
            pids=pids,
            target=target,
        )
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
        read_only: bool = False,
        pids: int = OWN_PIDS,
        target: str = "",
    ) -> str:
        """Make a container in a pod (`sleep` for an hour where no command is given); returns its id.

        `mounts` are directories of the host by their path in the container, `read_only` says so of its root. `target`
        is the container whose pid namespace it has by TARGET_PIDS.
        """
        # CRI-O wants the name that the pod's author wrote, too, as a kubelet gives it.
        config = field(1, field(1, name)) + field(2, field(1, image) + field(18, image))
        config += b"".join(field(3, word) for word in command or ("/bin/sleep", "3600"))
        config += b"".join(field(7, field(1, point) + field(2, str(path))) for point, path in (mounts or {}).items())
        security = field(2, int(privileged)) + field(3, namespace_options(pids, target)) + field(7, int(read_only))
        config += field(15, field(2, security))
        request = field(1, pod.id) + field(2, config) + field(3, pod.config)
        return self._call("CreateContainer", request).text(1)

    def begin(self, container_id: str) -> None:
        """Start a container that was made."""
        self._call("StartContainer", field(1, container_id))

    def shell(self, container_id: str, script: str) -> int:
        """Run a shell script in a running container and wait for it; its exit status."""
        return self.run(container_id, "/bin/sh", "-c", script).number(3)

    def output(self, container_id: str, script: str) -> str:
        """The same; what it prints."""
        return self.run(container_id, "/bin/sh", "-c", script).text(1)

    def run(self, container_id: str, *command: str) -> ProtobufMessage:
        """Run a command in a running container and wait for it, as a kubelet does for a probe."""
        return self._call("ExecSync", field(1, container_id) + b"".join(field(2, word) for word in command))

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
            self._stop()

    def _stop(self) -> None:
        self._cri.close()
        self._daemon.terminate()
        self._daemon.wait(timeout=PATIENCE)

    def _call(self, method: str, request: bytes) -> ProtobufMessage:
        answer = self._cri.call(method, request)
        assert answer is not None, f"{method}: not found"
        return answer


def namespace_options(pids: int = OWN_PIDS, target: str = "") -> bytes:
    """NamespaceOption of a pod on the node's network, which needs no CNI plugin."""
    return field(1, NODE_NETWORK) + field(2, pids) + (field(4, target) if target else b"")


def _map(number: int, items: Mapping[str, str]) -> bytes:
    return b"".join(field(number, field(1, key) + field(2, value)) for key, value in items.items())
