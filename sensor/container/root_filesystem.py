"""A container's root filesystem: its device, and what is known of which files on it came from the image."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import TYPE_CHECKING, Protocol

import msgspec

from sensor.container.mounts import HOST_INIT, in_chroot, inner_path, mount_namespace, read_mounts, topmost_mount
from sensor.container.overlay import parse_options, shows_more, usable_layers
from sensor.files.deadline import in_time
from sensor.files.regular import read_regular
from sensor.wire import json_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from sensor.container.base import Found
    from sensor.container.mounts import Mount
    from sensor.container.overlay import Layers
    from sensor.wire import GapReason


@dataclasses.dataclass(frozen=True, slots=True)
class RootFilesystem:
    """`dev` is its device, `prefix` where the root directory is on it: `/` of an overlay, a directory otherwise.

    `layers` is what it is made of, None where that can't be had. Without an overlay the kernel does not tell which
    files are the container's own: those that were changed after `since_ns`, its start, unless `layers` tell more.
    `certain` is False where all that is known is one process's root, which is in a chroot and may have made it itself.
    """

    dev: int
    layers: Layers | None
    prefix: bytes = b"/"
    filesystem: str = "overlay"
    since_ns: int | None = None
    certain: bool = True

    @property
    def is_overlay(self) -> bool:
        """Whether the kernel's overlay tells which files are the container's own."""
        return self.filesystem == "overlay"

    @property
    def gap(self) -> GapReason | None:
        """Why not all files on it can be judged, or not with certainty; None where they can."""
        if self.layers is not None and not self.layers.is_complete:
            return "layers_unreadable"
        if self.is_overlay:
            return None
        if self.layers is not None:
            return "no_overlay"
        return "root_unknown" if self.since_ns is None else "no_layers"

    def path_of(self, dev: int | None, inner: bytes) -> bytes | None:
        """Return where a file is below the root directory; None where it is on no part of this filesystem.

        `inner` is its path on its own filesystem: b"" of an overlay's file that is the image's.
        """
        if dev != self.dev:
            return None
        if self.prefix == b"/":
            return inner
        return inner.removeprefix(self.prefix) if inner.startswith(self.prefix + b"/") else None


class RootEvidence(Protocol):
    """What an exec shows of its root: `root` is the path of its root directory, `root_dev` the device of that."""

    @property
    def pid(self) -> int: ...
    @property
    def root(self) -> bytes: ...
    @property
    def root_dev(self) -> int: ...
    @property
    def overlay_root(self) -> bool: ...
    @property
    def namespace_inum(self) -> int: ...
    @property
    def others(self) -> Sequence[int]: ...


class _OciRoot(msgspec.Struct):
    path: str = ""


class _BundleRoot(msgspec.Struct):
    root: _OciRoot = msgspec.field(default_factory=_OciRoot)


def root_filesystem(found: Found, seen: RootEvidence) -> RootFilesystem:
    """Return the root filesystem of a container: the overlay that its runtime mounted, else whatever its root is."""
    mounts = read_mounts(HOST_INIT)
    mount = topmost_mount(mounts, bytes(found.merged)) if found.merged else None
    if mount is None and seen.root != b"/":
        mount = root_of_namespace(seen)
    certain = mount is not None or seen.root == b"/"
    if mount is None:
        mount = find_overlay(seen.root_dev, mounts) or find_overlay(seen.root_dev, read_mounts(seen.pid))
    if mount is not None and mount.fstype == b"overlay":
        layers = usable_layers(parse_options(mount.options), found.recorded_layers)
        if mount in mounts:
            layers = _compared(layers, mount, found)
        return RootFilesystem(mount.dev, layers, certain=certain)
    if mount is None and seen.overlay_root:
        return RootFilesystem(seen.root_dev, usable_layers(None, found.recorded_layers), certain=certain)
    plain = _plain_root(found, seen.pid, mounts)
    return plain or RootFilesystem(seen.root_dev, None, filesystem="", certain=certain)


def _compared(layers: Layers | None, mount: Mount, found: Found) -> Layers | None:
    """Return layers, not complete if the root that the runtime mounted has what they have not.

    So it is with a storage that keeps files by another name than the image has for them, whatever that is.
    """
    since_ns = _started_ns(found.bundle)
    if layers is None or not layers.is_complete or since_ns is None:
        return layers
    with contextlib.suppress(OSError):
        if in_time(lambda: shows_more(mount.point, mount.dev, layers, since_ns), payer=found.container.id):
            return dataclasses.replace(layers, is_complete=False)
    return layers


def _plain_root(found: Found, pid: int, mounts: Sequence[Mount]) -> RootFilesystem | None:
    """Return a root that is no overlay: what its runtime mounted, or a directory of the node's; None where unknown."""
    # First what the runtime was told: podman keeps a layer for `--rootfs` too, which it does not mount.
    directory = _named_root(found.bundle) or found.merged
    mount = topmost_mount(list(mounts), bytes(directory)) if directory else None
    prefix = mount.root if mount is not None else b"/"
    if mount is None and directory is not None:
        mount = _mount_above(mounts, bytes(directory))
        prefix = inner_path(mount, bytes(directory)) if mount is not None else b"/"
    if mount is None and not in_chroot(pid):
        mount = topmost_mount(read_mounts(pid), b"/")
        prefix = mount.root if mount is not None else b"/"
    if mount is None:
        return None
    # A directory of the runtime's storage is told from the node's own root; the whole of a filesystem is not.
    if prefix == b"/" and any(each.dev == mount.dev and each.point == b"/" for each in mounts):
        return None
    filesystem = os.fsdecode(mount.fstype)
    # Where a root is mounted as an overlay after all, it was made by somebody in the container.
    filesystem = filesystem if filesystem != "overlay" else "overlay of its own"
    return RootFilesystem(mount.dev, found.recorded_layers(), prefix, filesystem, _started_ns(found.bundle))


def _named_root(bundle: Path | None) -> Path | None:
    """Return the root directory that an OCI config.json names, as the node sees it."""
    if bundle is None:
        return None
    with contextlib.suppress(OSError, msgspec.DecodeError):
        named = json_bytes.decode(read_regular(bundle / "config.json"), _BundleRoot).root.path
        return bundle / named if named else None
    return None


def _started_ns(bundle: Path | None) -> int | None:
    """Return when a container was started: its runtime writes config.json anew then, once the root is complete."""
    if bundle is None:
        return None
    with contextlib.suppress(OSError):
        return (bundle / "config.json").stat().st_mtime_ns
    return None


def _mount_above(mounts: Iterable[Mount], path: bytes) -> Mount | None:
    """Return the mount that a path of the node's is on."""
    above = [mount for mount in mounts if (path + b"/").startswith(mount.point.rstrip(b"/") + b"/")]
    longest = max((len(mount.point) for mount in above), default=0)
    return next((mount for mount in reversed(above) if len(mount.point) == longest), None)


def root_of_namespace(seen: RootEvidence) -> Mount | None:
    """Return the root that processes in the mount namespace have, but for one that made itself another (chroot)."""
    for pid in dict.fromkeys((*seen.others, seen.pid)):
        if mount_namespace(pid) == seen.namespace_inum and not in_chroot(pid):
            root = topmost_mount(read_mounts(pid), b"/")
            if root is not None:
                return root
    return None


def paths_on_node(mount: Mount) -> list[bytes]:
    """Return where the node has the directory that a mount shows."""
    above = [(each, each.root.rstrip(b"/")) for each in read_mounts(HOST_INIT) if each.dev == mount.dev]
    is_above = [(each, root) for each, root in above if mount.root == root or mount.root.startswith(root + b"/")]
    return [each.point.rstrip(b"/") + mount.root.removeprefix(root) for each, root in is_above]


def find_overlay(dev: int, mounts: Sequence[Mount]) -> Mount | None:
    """Return the overlay with this device number, None where none is mounted there."""
    return next((mount for mount in mounts if mount.dev == dev and mount.fstype == b"overlay"), None)
