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
from sensor.container.containerd_snapshots import recorded_layers
from sensor.container.cri import Cri, CriContainer, CriError, CriPod
from sensor.container.mounts import HOST_INIT, read_mounts, topmost_mount
from sensor.container.overlay import image_layers
from sensor.container.pods import OnDisk, described
from sensor.files import json_bytes
from sensor.names.images import full_reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sensor.container.base import RuntimeMount

SOCKETS: Final = (
    Path("/run/containerd/containerd.sock"),
    Path("/run/k3s/containerd/containerd.sock"),
    Path("/run/k0s/containerd.sock"),
)
"""containerd's own, that of k3s and RKE2, that of k0s."""
TASKS: Final = "io.containerd.runtime.v2.task/k8s.io"
"""Below containerd's state directory; `k8s.io` is the containerd namespace of all that CRI makes."""
IMAGE_VOLUMES: Final = "io.containerd.grpc.v1.cri/image-volumes"
"""Below its state directory, where it mounts images as volumes (containerd, internal/cri/server/helpers.go)."""
_ANNOTATION: Final = "io.kubernetes.cri."
"""containerd's annotations in config.json (containerd, pkg/cri/annotations)."""

log = logging.getLogger(__name__)


class _AnnotatedBundle(msgspec.Struct):
    annotations: dict[str, str] = {}


class ContainerdRuntime:
    """One containerd: its state directory, with its socket in it. It may start after the sensor, or never."""

    name = "containerd"

    def __init__(self, socket: Path, cri: Cri | None = None, node: str = "") -> None:
        """`socket` lies in the state directory, as in /run/containerd/containerd.sock."""
        self._node = node
        self._socket = socket
        self._tasks = socket.parent / TASKS
        self._cri = Cri(socket) if cri is None else cri
        self._was_silent = False

    def find(self, container_id: str) -> Found | None:
        """Return a container by its full id, with all that could be learned; None where there is none.

        Not `complete` where the runtime did not answer in time: then labels and digest are missing.
        """
        bundle = self._tasks / container_id
        disk = _read(bundle / "config.json")
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
        """By the task's directory: its `rootfs` is the mount point."""
        directory = Path(os.fsdecode(point))
        is_task = directory.name == "rootfs" and directory.parent.parent == self._tasks
        return directory.parent.name if is_task else None

    def _volume_image(self, container_id: str, mount: RuntimeMount) -> VolumeImage | None:
        """By the directory on which containerd mounts images for a pod: SANDBOX/DIGEST, of the image's manifest."""
        source, base = Path(mount.source), self._socket.parent / IMAGE_VOLUMES
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
        annotations = json_bytes.decode(path.read_bytes(), _AnnotatedBundle).annotations
    except (OSError, msgspec.DecodeError):
        return None
    return _on_disk({key.removeprefix(_ANNOTATION): value for key, value in annotations.items()})


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
