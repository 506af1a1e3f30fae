"""Containers of podman, read from containers/storage on disk: no socket, no fork, and before a start."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import msgspec

from sensor.container.base import Found, VolumeImage
from sensor.container.overlay import Layers
from sensor.container.pods import image_name
from sensor.files.regular import read_regular
from sensor.wire import Container, json_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.container.base import RuntimeMount

DEFAULT_ROOT = Path("/var/lib/containers/storage")
_CONTAINERS = ("containers.json", "volatile-containers.json")
"""The second holds what need not outlive a crash: all of CRI-O's, and from podman 4.4 on those run with `--rm`."""

_LAYERS = ("layers.json", "volatile-layers.json")
_DIRECTORIES = {"overlay": "overlay", "vfs": "vfs/dir", "btrfs": "btrfs/subvolumes"}


class _Entry(msgspec.Struct):
    """The fields of a container's entry that matter here; `metadata` is JSON in a string."""

    id: str
    layer: str = ""
    image: str = ""
    names: list[str] | None = None
    metadata: str = "{}"


class _Image(msgspec.Struct, rename={"other_layers": "mapped-layers"}):
    id: str
    digest: str = ""
    layer: str = ""
    other_layers: list[str] = []
    names: list[str] | None = None


class _Layer(msgspec.Struct):
    id: str
    parent: str = ""


T = TypeVar("T", _Entry, _Image, _Layer)


class _JsonFile(Generic[T]):
    """A JSON list of entries by their id, read again only when the file was replaced or changed."""

    def __init__(self, path: Path, shape: type[T]) -> None:
        self._path = path
        self._shape: type[T] = shape
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
                self._entries = {entry.id: entry for entry in self._read()}
                self._stamp = stamp
        except (OSError, msgspec.DecodeError):
            return {}
        return self._entries

    def _read(self) -> Iterator[T]:
        """Yield the entries; one of an unknown shape, as a newer release may write it, does not hide the others."""
        # A storage without root is its user's, who may put a FIFO there.
        for raw in json_bytes.decode(read_regular(self._path), list[msgspec.Raw]):
            with contextlib.suppress(msgspec.DecodeError):
                yield json_bytes.decode(raw, self._shape)


class PodmanRuntime:
    """One containers/storage as podman (and CRI-O) keep it, with one of its drivers.

    `overlay` has the layers mounted on each other; with `vfs` and `btrfs` each is a directory with all files.
    """

    name = "podman"

    def __init__(self, root: Path = DEFAULT_ROOT, driver: Literal["overlay", "vfs", "btrfs"] = "overlay") -> None:
        self._root, self._driver = root, driver
        self._bundles = root / f"{driver}-containers"
        self._containers = [_JsonFile(self._bundles / name, _Entry) for name in _CONTAINERS]
        self._images = _JsonFile(root / f"{driver}-images/images.json", _Image)
        self._layer_files = [_JsonFile(root / f"{driver}-layers" / name, _Layer) for name in _LAYERS]

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
                image_name=image_name([_image_name(entry), *((image.names if image else None) or ())]),
                image_digest=image.digest or None if image else None,
            ),
            merged=self._directory(entry.layer) / ("merged" if self._driver == "overlay" else ""),
            layers=self._layers(entry.layer),
            bundle=self._bundles / entry.id / "userdata",
            volume_image=self.volume_image,
        )

    def volume_image(self, mount: RuntimeMount) -> VolumeImage | None:
        """Return the image whose topmost layer a mount shows, or a directory in it; None where it shows none.

        podman mounts the image and an overlay on that; CRI-O binds the mounted image itself.
        """
        lowers = [option.removeprefix("lowerdir=") for option in mount.options if option.startswith("lowerdir=")]
        shown = Path(lowers[0].split(":")[0] if mount.type == "overlay" and lowers else mount.source)
        layers = self._root / _DIRECTORIES[self._driver]
        if ".." in shown.parts or not shown.is_relative_to(layers):
            return None
        layer, *parts = shown.relative_to(layers).parts or ("",)
        if self._driver != "overlay":
            parts.insert(0, "merged")
        if parts[:1] != ["merged"]:
            return None
        for image in self._images.entries().values():
            if layer == image.layer or layer in image.other_layers:
                below = "".join(f"/{part}" for part in parts[1:]).encode()
                return VolumeImage(
                    image_name(image.names or ()), image.digest or None, self._image_layers(layer), below
                )
        return None

    def _image_layers(self, layer: str) -> Layers:
        """Return those of an image by its topmost one, whose file `lower` names those below."""
        if self._driver != "overlay":
            return Layers((bytes(self._directory(layer)),), b"")
        found = self._layers(layer)
        top = self._root / "overlay" / layer / "diff"
        is_complete = not _is_composefs(top) and (found is None or found.is_complete)
        return Layers((bytes(top), *(found.lowers if found else ())), b"", is_complete)

    def _directory(self, layer: str) -> Path:
        return self._root / _DIRECTORIES[self._driver] / layer

    def is_in_pod(self, container_id: str) -> bool:
        """Return whether CRI-O made it: then it is recorded with its pod (cri-o, internal/storage/runtime.go)."""
        entry = self._entry(container_id)
        return entry is not None and bool(_metadata(entry).get("pod-id"))

    def _entry(self, container_id: str) -> _Entry | None:
        return next(filter(None, (file.find(container_id) for file in self._containers)), None)

    def mounted_container_id(self, point: bytes) -> str | None:
        """By the layer that the mount point names, or the directory that is the root itself."""
        directory = Path(os.fsdecode(point))
        if self._driver == "overlay":
            if directory.name != "merged":
                return None
            directory = directory.parent
        if directory.parent != self._root / _DIRECTORIES[self._driver]:
            return None
        entries = (entry for file in self._containers for entry in file.entries().values())
        return next((entry.id for entry in entries if entry.layer == directory.name), None)

    def _layers(self, layer: str) -> Layers | None:
        """Return them by the storage's own files; None where the layer is unknown."""
        if self._driver != "overlay":
            found = next(filter(None, (file.find(layer) for file in self._layer_files)), None)
            return Layers((bytes(self._directory(found.parent)),), bytes(self._directory(layer))) if found else None
        overlay = self._root / "overlay"
        try:
            lowers = (overlay / layer / "lower").read_text().strip().split(":")
        except OSError:
            return None
        directories = [overlay / link for link in lowers if link]
        is_complete = not any(map(_is_composefs, directories))
        return Layers(tuple(map(bytes, directories)), bytes(overlay / layer / "diff"), is_complete)


def _is_composefs(layer: Path) -> bool:
    """Return whether a layer's directory has its files by their hashes, and an image of a filesystem names them."""
    return (layer / "../composefs-data").exists()  # a link leads to the layer, and only then up


def _image_name(entry: _Entry) -> str:
    return str(_metadata(entry).get("image-name") or "")


def _metadata(entry: _Entry) -> dict[str, object]:
    try:
        return json_bytes.decode(entry.metadata, dict[str, object])
    except msgspec.DecodeError:
        return {}
