"""Containers of Kubernetes on CRI-O: names by CRI, files from containers/storage, which podman uses too."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.container.cri import Cri, CriError
from sensor.container.podman import PodmanRuntime
from sensor.container.pods import OnDisk, described

if TYPE_CHECKING:
    from sensor.container.base import Found

SOCKET: Final = Path("/run/crio/crio.sock")
BUNDLES: Final = Path("/run/containers/storage/overlay-containers")

log = logging.getLogger(__name__)


class CrioRuntime:
    """The CRI-O of this node. What it does not know is left to podman, whose storage is the same."""

    name = "cri-o"

    def __init__(
        self,
        socket: Path = SOCKET,
        cri: Cri | None = None,
        storage: PodmanRuntime | None = None,
        bundles: Path = BUNDLES,
        node: str = "",
    ) -> None:
        self._socket, self._bundles, self._node = socket, bundles, node
        self._cri = Cri(socket) if cri is None else cri
        self._storage = PodmanRuntime() if storage is None else storage

    def find(self, container_id: str) -> Found | None:
        """A container or a pod's sandbox by its full id; None where CRI-O knows none, or did not answer in time."""
        stored = self._storage.find(container_id) if self._socket.exists() else None
        if stored is None:
            return None
        try:
            status, pod = self._cri.described(container_id, "")
            pod = pod or self._cri.pod(container_id)
        except CriError as error:
            log.warning("CRI-O's containers have no names for now: %s", error)
            status, pod = None, None
        if status is None and pod is None:
            return self._unnamed(stored)
        image = OnDisk(image=stored.container.image_name or "")
        container = described(container_id, self.name, image, status, pod, node=self._node)
        container.image_digest = container.image_digest or stored.container.image_digest
        bundle = self._bundles / container_id / "userdata"
        return dataclasses.replace(stored, container=container, bundle=bundle, complete=pod is not None)

    def _unnamed(self, stored: Found) -> Found | None:
        """A container that CRI-O keeps and does not list yet: it lists a pod only after its sandbox's first exec."""
        if not self._storage.is_in_pod(stored.container.id):
            return None
        stored.container.runtime = self.name
        return dataclasses.replace(stored, complete=False)

    def mounted_container_id(self, point: bytes) -> str | None:
        """Return the container whose root the storage mounts at `point`, where CRI-O runs; else None."""
        return self._storage.mounted_container_id(point) if self._socket.exists() else None
