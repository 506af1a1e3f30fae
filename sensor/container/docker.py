"""Containers of Docker, from what dockerd keeps on disk: no socket, which would be as good as root, and no fork.

With cri-dockerd a container's labels name its pod, and those of the pod's sandbox are the pod's own. Labels alone are
not believed, though: an image brings its own, and `docker run` adds any. cri-dockerd names what it makes after the pod
as well, and keeps a record of each sandbox.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from sensor.container.base import Found
from sensor.container.overlay import Layers
from sensor.container.pods import MAX_NAME, bounded_labels, image_name, owner_on_wire
from sensor.names.owners import container_owner, pod_owner
from sensor.wire import Container, json_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_ROOT: Final = Path("/var/lib/docker")
TASKS: Final = (
    Path("/run/containerd/io.containerd.runtime.v2.task/moby"),
    Path("/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby"),
)
"""Where the bundles are: with the node's containerd, and with one that dockerd started itself."""
CHECKPOINTS: Final = (Path("/var/lib/cri-dockerd/sandbox"), Path("/var/lib/dockershim/sandbox"))
"""Where cri-dockerd, and before it the kubelet, records the sandboxes that it made (core/docker_checkpoint.go)."""
_KUBERNETES: Final = "io.kubernetes."
_ADDED_LABELS: Final = (_KUBERNETES, "annotation.")
"""What cri-dockerd adds to a sandbox's labels (Mirantis/cri-dockerd, core/labels.go)."""


T = TypeVar("T")


class _Settings(msgspec.Struct, rename="pascal"):
    image: str = ""
    labels: dict[str, str] | None = None


class _Manifest(msgspec.Struct):
    """That there is one is all that matters."""


class _State(msgspec.Struct, rename="pascal"):
    """The fields of `config.v2.json` that matter here; `image` is the image's id.

    That is its manifest's digest where containerd keeps the images (`image_manifest` is there then).
    """

    image: str = ""
    image_manifest: _Manifest | None = None
    name: str = ""
    config: _Settings = msgspec.field(default_factory=_Settings)


class _Checkpoint(msgspec.Struct):
    name: str = ""
    namespace: str = ""


class _Repositories(msgspec.Struct):
    repositories: dict[str, dict[str, str]] = msgspec.field(default_factory=dict, name="Repositories")


class DockerRuntime:
    """One dockerd's data directory, with its overlay2 driver or with images kept by containerd."""

    name = "docker"

    def __init__(
        self,
        root: Path = DEFAULT_ROOT,
        tasks: tuple[Path, ...] = TASKS,
        checkpoints: tuple[Path, ...] = CHECKPOINTS,
        node: str = "",
    ) -> None:
        self._root, self._tasks, self._checkpoints, self._node = root, tasks, checkpoints, node

    def find(self, container_id: str) -> Found | None:
        """Name, image, digest, layers and pod of a container; None where this Docker has no such id."""
        state = self._state(container_id)
        if state is None:
            return None
        layer = self._layer(container_id)
        overlay = self._root / "overlay2"
        merged = overlay / layer / "merged" if layer else self._root / "rootfs/overlayfs" / container_id
        return Found(
            container=self._described(container_id, state),
            merged=merged,
            layers=_layers(overlay, layer) if layer else None,
            bundle=next((tasks / container_id for tasks in self._tasks if (tasks / container_id).exists()), None),
        )

    def mounted_container_id(self, point: bytes) -> str | None:
        """By the layer, or the id, that the mount point names."""
        directory = Path(os.fsdecode(point))
        if directory.parent == self._root / "rootfs/overlayfs":
            return directory.name
        if directory.name != "merged" or directory.parent.parent != self._root / "overlay2":
            return None
        mounts = self._root / "image/overlay2/layerdb/mounts"
        try:
            return next(
                (each.name for each in mounts.iterdir() if self._layer(each.name) == directory.parent.name), None
            )
        except OSError:
            return None

    def _described(self, container_id: str, state: _State) -> Container:
        labels = state.config.labels or {}
        plain = Container(
            id=container_id,
            name=state.name.removeprefix("/")[:MAX_NAME] or None,
            runtime=self.name,
            image_name=image_name(self._image_names(state)),
            image_digest=self._digest(state),
        )
        if self._is_of_kubernetes(container_id, state):
            return self._in_pod(plain, labels)
        plain.owner = owner_on_wire(container_owner(container_id, plain.name or "", plain.image_name or "", labels))
        return plain

    def _is_of_kubernetes(self, container_id: str, state: _State) -> bool:
        """Whether cri-dockerd made it: its name says the same as its labels, and so does the record of its sandbox.

        Where that directory can't be seen, the name alone must do: no image sets it, only who starts the container.
        """
        labels = state.config.labels or {}
        if not _is_named_so(state.name, labels):
            return False
        sandbox = container_id if _is_sandbox(labels) else labels.get(f"{_KUBERNETES}sandbox.id", "")
        directory = next((each for each in self._checkpoints if each.is_dir()), None)
        if directory is None:
            return True
        record = _read(directory / sandbox, _Checkpoint) if "/" not in sandbox else None
        pod = labels.get(f"{_KUBERNETES}pod.name"), labels.get(f"{_KUBERNETES}pod.namespace")
        return record is not None and (record.name, record.namespace) == pod

    def _in_pod(self, container: Container, labels: Mapping[str, str]) -> Container:
        """As Kubernetes names it; a pod's sandbox has no container name."""
        is_sandbox = _is_sandbox(labels)
        sandbox = None if is_sandbox else self._state(labels.get(f"{_KUBERNETES}sandbox.id", ""))
        of_sandbox = labels if is_sandbox else _labels_of_sandbox(sandbox)
        pod_labels = {name: value for name, value in of_sandbox.items() if not name.startswith(_ADDED_LABELS)}
        pod_name = labels[f"{_KUBERNETES}pod.name"]
        named = {"namespace": "pod.namespace", "pod_name": "pod.name", "pod_uid": "pod.uid", "name": "container.name"}
        pod = {field: labels.get(f"{_KUBERNETES}{label}", "")[:MAX_NAME] or None for field, label in named.items()}
        if is_sandbox:
            pod["name"] = None
        found = {name: getattr(container, name) for name in container.__struct_fields__} | pod
        owner = owner_on_wire(pod_owner(pod_name, pod_labels, self._node))
        return Container(**found | {"pod_labels": bounded_labels(pod_labels), "owner": owner})

    def _state(self, container_id: str) -> _State | None:
        if not container_id:
            return None
        return _read(self._root / "containers" / container_id / "config.v2.json", _State)

    def _layer(self, container_id: str) -> str:
        """Return the directory of its own layer, "" where the driver is not overlay2."""
        try:
            return (self._root / "image/overlay2/layerdb/mounts" / container_id / "mount-id").read_text().strip()
        except OSError:
            return ""

    def _digest(self, state: _State) -> str | None:
        """Return the manifest's digest, which Docker's own image store keeps only of images from a registry."""
        if state.image_manifest is not None:
            return state.image
        return next((name.partition("@")[2] for name in self._stored_names(state) if "@" in name), None)

    def _image_names(self, state: _State) -> list[str]:
        """Return what the image may be called, first as whoever started the container wrote it: that may be its id."""
        typed = state.config.image
        is_id = re.fullmatch("[0-9a-f]+", typed) and state.image.removeprefix("sha256:").startswith(typed)
        return [*([] if is_id else [typed]), *self._stored_names(state)]

    def _stored_names(self, state: _State) -> list[str]:
        """Return the names that the image has in Docker's own image store, those with a tag first."""
        stored = _read(self._root / "image/overlay2/repositories.json", _Repositories)
        tags = stored.repositories.values() if stored else ()
        names = [name for each in tags for name, image in each.items() if image == state.image]
        return sorted(names, key=lambda name: "@" in name)


def _is_sandbox(labels: Mapping[str, str]) -> bool:
    return labels.get(f"{_KUBERNETES}docker.type") == "podsandbox"


def _labels_of_sandbox(state: _State | None) -> Mapping[str, str]:
    """Return a pod sandbox's labels; none for a container that only claims to be one."""
    labels = state.config.labels or {} if state is not None else {}
    return labels if state is not None and _is_sandbox(labels) and _is_named_so(state.name, labels) else {}


def _is_named_so(name: str, labels: Mapping[str, str]) -> bool:
    """Whether a container has the name that cri-dockerd gives it (core/naming.go): `k8s_CONTAINER_POD_NAMESPACE_UID_N`.

    Where that was taken, a random part follows.
    """
    labelled = ["container.name", "pod.name", "pod.namespace", "pod.uid"]
    wanted = ["k8s", *(labels.get(f"{_KUBERNETES}{label}", "") for label in labelled)]
    parts = name.removeprefix("/").split("_")
    return all(wanted) and parts[:5] == wanted and 6 <= len(parts) <= 7 and parts[5].isdecimal()


def _layers(overlay: Path, layer: str) -> Layers | None:
    try:
        lowers = (overlay / layer / "lower").read_text().strip().split(":")
    except OSError:
        return None
    return Layers(tuple(bytes(overlay / link) for link in lowers if link), bytes(overlay / layer / "diff"))


def _read(path: Path, shape: type[T]) -> T | None:
    try:
        return json_bytes.decode(path.read_bytes(), shape)
    except (OSError, ValueError):  # a label may hold what no path can
        return None
