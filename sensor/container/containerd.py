"""Containers of Kubernetes on containerd: from the task's files first, and from the runtime by CRI.

The files are there before a container's first exec and go when it ends; CRI knows a container until it is
removed, and alone knows labels and digest. So a container of 50 ms keeps its name whichever comes too late.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from sensor.container.base import Found, VolumeImage
from sensor.container.containerd_snapshots import recorded_container, recorded_layers
from sensor.container.cri import CONTAINERD_NAMESPACE, Cri, CriContainer, CriError, CriPod
from sensor.container.mounts import HOST_INIT, read_mounts, topmost_mount
from sensor.container.overlay import image_layers
from sensor.container.pods import MAX_NAME, OnDisk, described, image_name, owner_on_wire
from sensor.names.images import full_reference
from sensor.names.owners import container_owner
from sensor.wire import Container, json_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sensor.container.base import RuntimeMount

TASKS_DIRECTORY: Final = "io.containerd.runtime.v2.task"
"""Below containerd's state directory: NAMESPACE/ID is a container's bundle."""
TASKS: Final = f"{TASKS_DIRECTORY}/{CONTAINERD_NAMESPACE}"
NAMESPACES_OF_OTHERS: Final = frozenset({"moby", "plugins.moby"})
"""Docker's, which are known by Docker's own records."""
IMAGE_VOLUMES: Final = "io.containerd.grpc.v1.cri/image-volumes"
"""Below its state directory, where it mounts images as volumes (containerd, internal/cri/server/helpers.go)."""
NERDCTL_NAME: Final = "nerdctl/name"
MAX_ID: Final = 64
_ANNOTATION: Final = "io.kubernetes.cri."
"""containerd's annotations in config.json (containerd, pkg/cri/annotations)."""

log = logging.getLogger(__name__)


class _AnnotatedBundle(msgspec.Struct):
    annotations: dict[str, str] | None = None


class ContainerdRuntime:
    """One containerd: its state directory, with its socket in it. It may start after the sensor, or never."""

    name = "containerd"

    def __init__(self, socket: Path, cri: Cri | None = None, node: str = "", state: Path | None = None) -> None:
        """`state` is the state directory, which the socket lies in where None is given."""
        self._node = node
        self._socket, self._state = socket, state or socket.parent
        self._tasks = self._state / TASKS
        self._cri = Cri(socket) if cri is None else cri
        self._was_silent = False

    def find(self, container_id: str) -> Found | None:
        """Return a container by its full id, with all that could be learned; None where there is none.

        Not `complete` where the runtime did not answer in time: then labels and digest are missing.
        """
        bundle = self._tasks / container_id
        disk = _read(bundle / "config.json")
        if disk is None and (plain := self._outside_kubernetes(container_id)) is not None:
            return plain
        if disk is None and not self._socket.exists():
            return None
        try:
            status, pod = self._query(container_id, disk)
            self._was_silent = False
        except CriError as error:
            self._warn_once(error)
            status, pod = None, None
        if disk is None and status is None and pod is None:
            return None
        container = described(container_id, self.name, disk or OnDisk(), status, pod, node=self._node)
        return Found(
            container,
            merged=bundle / "rootfs",
            bundle=bundle,
            complete=pod is not None,
            query_layers=lambda: recorded_layers(self._cri, container_id),
            volume_image=lambda mount: self._volume_image(container_id, mount),
        )

    def mounted_container_id(self, point: bytes) -> str | None:
        """By the task's directory, of any namespace: its `rootfs` is the mount point."""
        directory = Path(os.fsdecode(point))
        namespace = directory.parent.parent
        is_task = directory.name == "rootfs" and namespace.parent == self._tasks.parent
        return directory.parent.name if is_task and namespace.name not in NAMESPACES_OF_OTHERS else None

    def _outside_kubernetes(self, container_id: str) -> Found | None:
        """Return a container of another namespace than Kubernetes', as nerdctl makes them; None where there is none."""
        bundle = next(self._bundles(container_id), None)
        if bundle is None:
            return None
        namespace, labels, image = bundle.parent.name, _annotations(bundle / "config.json"), ""
        try:
            recorded = recorded_container(self._cri, container_id, namespace)
            if recorded is not None:
                labels, image = labels | recorded.labels, recorded.image
        except CriError as error:
            self._warn_once(error)
            recorded = None
        name, reference = labels.get(NERDCTL_NAME, "") or container_id, image_name([image])
        container = Container(
            id=container_id[:MAX_ID],
            name=name[:MAX_NAME],
            runtime=self.name,
            image_name=reference,
            owner=owner_on_wire(container_owner(container_id, name, reference or "", labels)),
        )
        return Found(
            container,
            merged=bundle / "rootfs",
            bundle=bundle,
            complete=recorded is not None,
            query_layers=lambda: recorded_layers(self._cri, container_id, namespace),
        )

    def _bundles(self, container_id: str) -> Iterator[Path]:
        others = NAMESPACES_OF_OTHERS | {CONTAINERD_NAMESPACE}
        with contextlib.suppress(OSError):
            for namespace in self._tasks.parent.iterdir():
                if namespace.name not in others and (namespace / container_id / "config.json").exists():
                    yield namespace / container_id

    def _volume_image(self, container_id: str, mount: RuntimeMount) -> VolumeImage | None:
        """By the directory on which containerd mounts images for a pod: SANDBOX/DIGEST, of the image's manifest."""
        source, base = Path(mount.source), self._state / IMAGE_VOLUMES
        parts = source.relative_to(base).parts if source.is_relative_to(base) else ()
        if len(parts) < 2 or ".." in parts:
            return None
        name = None
        with contextlib.suppress(CriError):
            status = self._cri.container(container_id)
            name = status.mounted_images.get(mount.destination) if status is not None else None
        # A reference by digest alone is no name.
        name = name.partition("@")[0] if name and not name.startswith("sha256:") else None
        mount_of_image = topmost_mount(read_mounts(HOST_INIT), bytes(base / parts[0] / parts[1]))
        layers = image_layers(mount_of_image.options) if mount_of_image is not None else None
        return VolumeImage(
            full_reference(name)[:1024] if name else None,
            f"sha256:{parts[1]}"[:200],
            layers,
            "".join(f"/{part}" for part in parts[2:]).encode(),
        )

    def _query(self, container_id: str, disk: OnDisk | None) -> tuple[CriContainer | None, CriPod | None]:
        """Return the container and its pod from CRI; a pod's sandbox is not a container to CRI."""
        if disk is not None and disk.is_sandbox:
            return None, self._cri.pod(container_id)
        return self._cri.described(container_id, disk.sandbox if disk is not None else "")

    def _warn_once(self, error: CriError) -> None:
        if not self._was_silent:
            log.warning("Containers of containerd lack labels and digest for now: %s", error)
        self._was_silent = True


def _read(path: Path) -> OnDisk | None:
    try:
        annotations = json_bytes.decode(path.read_bytes(), _AnnotatedBundle).annotations or {}
    except (OSError, msgspec.DecodeError):
        return None
    return _on_disk({key.removeprefix(_ANNOTATION): value for key, value in annotations.items()})


def _annotations(path: Path) -> dict[str, str]:
    """Return the annotations of a config.json: nerdctl writes its labels there too."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return json_bytes.decode(path.read_bytes(), _AnnotatedBundle).annotations or {}
    return {}


def _on_disk(annotations: Mapping[str, str]) -> OnDisk:
    return OnDisk(
        name=annotations.get("container-name", ""),
        image=annotations.get("image-name", ""),
        sandbox=annotations.get("sandbox-id", ""),
        pod=annotations.get("sandbox-name", ""),
        namespace=annotations.get("sandbox-namespace", ""),
        uid=annotations.get("sandbox-uid", ""),
        is_sandbox=annotations.get("container-type") == "sandbox",
    )
