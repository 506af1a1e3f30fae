"""Containers of podman, read from containers/storage on disk: no socket, no fork, and before a start."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from sensor.container.base import Found, full_reference
from sensor.container.overlay import Layers
from sensor.wire import Container

DEFAULT_ROOT = Path("/var/lib/containers/storage")
_CONTAINERS = ("containers.json", "volatile-containers.json")
"""The second holds what need not outlive a crash: all of CRI-O's, and from podman 4.4 on those run with `--rm`."""


class _Entry(msgspec.Struct):
    """The fields of a container's entry that matter here; `metadata` is JSON in a string."""

    id: str
    layer: str = ""
    image: str = ""
    names: list[str] = []
    metadata: str = "{}"


class _Image(msgspec.Struct):
    id: str
    digest: str = ""


T = TypeVar("T", _Entry, _Image)


class _JsonFile(Generic[T]):
    """A JSON list of entries by their id, read again only when the file was replaced or changed."""

    def __init__(self, path: Path, decoder: msgspec.json.Decoder[list[T]]) -> None:
        self._path = path
        self._decoder: msgspec.json.Decoder[list[T]] = decoder
        self._stamp: tuple[int, int, int] | None = None
        self._entries: dict[str, T] = {}

    def find(self, identifier: str) -> T | None:
        return self.entries().get(identifier)

    def entries(self) -> dict[str, T]:
        """Return all by their id, as they are now; none where the file can't be read."""
        try:
            facts = self._path.stat()
            stamp = facts.st_ino, facts.st_mtime_ns, facts.st_size
            if stamp != self._stamp:
                self._entries = {entry.id: entry for entry in self._decoder.decode(self._path.read_bytes())}
                self._stamp = stamp
        except (OSError, msgspec.DecodeError):
            return {}
        return self._entries


class PodmanRuntime:
    """One containers/storage with the overlay driver, as podman (and CRI-O) keep it."""

    name = "podman"

    def __init__(self, root: Path = DEFAULT_ROOT) -> None:
        self._root = root
        containers = root / "overlay-containers"
        self._containers = [_JsonFile(containers / name, msgspec.json.Decoder(list[_Entry])) for name in _CONTAINERS]
        self._images = _JsonFile(root / "overlay-images/images.json", msgspec.json.Decoder(list[_Image]))

    def find(self, container_id: str) -> Found | None:
        """Name, image, digest and layers of a container; None where this storage has no such id."""
        entry = self._entry(container_id)
        if entry is None:
            return None
        image = self._images.find(entry.image)
        return Found(
            container=Container(
                id=entry.id,
                name=entry.names[0][:256] if entry.names else None,
                runtime=self.name,
                image_name=_image_name(entry),
                image_digest=image.digest or None if image else None,
            ),
            merged=self._root / "overlay" / entry.layer / "merged",
            layers=self._layers(entry.layer),
            bundle=self._root / "overlay-containers" / entry.id / "userdata",
        )

    def is_in_pod(self, container_id: str) -> bool:
        """Return whether CRI-O made it: then it is recorded with its pod (cri-o, internal/storage/runtime.go)."""
        entry = self._entry(container_id)
        return entry is not None and bool(_metadata(entry).get("pod-id"))

    def _entry(self, container_id: str) -> _Entry | None:
        return next(filter(None, (file.find(container_id) for file in self._containers)), None)

    def mounted_container_id(self, point: bytes) -> str | None:
        """By the layer that the mount point names."""
        directory = Path(os.fsdecode(point))
        if directory.name != "merged" or directory.parent.parent != self._root / "overlay":
            return None
        entries = (entry for file in self._containers for entry in file.entries().values())
        return next((entry.id for entry in entries if entry.layer == directory.parent.name), None)

    def _layers(self, layer: str) -> Layers | None:
        """From the storage's own files, for a container that is not mounted any more."""
        overlay = self._root / "overlay"
        try:
            lowers = (overlay / layer / "lower").read_text().strip().split(":")
        except OSError:
            return None
        return Layers(tuple(bytes(overlay / link) for link in lowers if link), bytes(overlay / layer / "diff"))


def _image_name(entry: _Entry) -> str | None:
    name = _metadata(entry).get("image-name")
    return full_reference(str(name))[:1024] if name else None


def _metadata(entry: _Entry) -> dict[str, object]:
    try:
        return msgspec.json.decode(entry.metadata, type=dict[str, object])
    except msgspec.DecodeError:
        return {}
