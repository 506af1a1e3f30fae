"""From an exec to its container: by the mount namespace once that is known, before by the cgroup's name."""

from __future__ import annotations

import dataclasses
import functools
import re
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.container.base import Found, ids_from_cgroup, no_image, unknown_label
from sensor.container.mounts import HOST_INIT, host_root, mount_namespace, read_mounts
from sensor.container.oci_config import runtime_devices
from sensor.container.recent import Recent
from sensor.container.root_filesystem import (
    RootFilesystem,
    find_overlay,
    paths_on_node,
    root_filesystem,
    root_of_namespace,
)
from sensor.wire import Container

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from sensor.container.base import Runtime, RuntimeMount, VolumeImage
    from sensor.container.overlay import Layers
    from sensor.container.pod_spec import PodSpec
    from sensor.wire import GapReason, Session

TRIES: Final = 3
TRY_SECONDS: Final = 0.02
"""A runtime may write its record a moment after the container's first exec."""
_STORAGE: Final = re.compile(rb"/(?:vfs/dir|btrfs/subvolumes)/[^/]+\Z")
"""The root directory of a container in podman's storage."""
FORGET_AFTER: Final = 30.0
"""Seconds until a container that no runtime knew is looked up again."""
MAX_NAMESPACES: Final = 16_384
MAX_CONTAINERS: Final = 4_096
MAX_ADOPTED: Final = 16


class ContainerEvidence(NamedTuple):
    """What an exec shows of its container: see sensor.record.Record.

    `root` is the path of the task's root directory in its mount namespace, `root_dev` its device,
    `overlay_root` whether that is an overlay, `root_below` whether it is not the top of its filesystem. `others` are
    processes that may be in the same mount namespace, whose inode number is `namespace_inum`.
    """

    namespace_id: int
    pid: int
    cgroup: Sequence[bytes]
    root: bytes
    root_dev: int
    overlay_root: bool
    namespace_inum: int = 0
    others: Sequence[int] = ()
    root_below: bool = False


@dataclasses.dataclass(eq=False)
class Resolved:
    """A container, and the filesystem that its image is.

    `root_dev` is the device of that filesystem; `layers` what it is made of, None where that can't
    be had any more. `certain` is False where all that is known of the root is one process's, which is in a
    chroot and may have made it itself; `adopted` where it is a container of the sensor's own. `pid` is a
    process that was in it lately: the way to its mounts. `plain_root` is there where the root is no overlay.
    `mounted` has the device at each mount point of the runtime's, as the first process saw them that still lived when
    it was looked at. `volume_image` tells which image a mount of the runtime's shows, None of any other. `pod_spec` is
    its pod's, where the cluster tells it.
    """

    container: Container
    complete: bool
    root_dev: int
    layers: Layers | None
    pid: int
    merged: Path | None = None
    bundle: Path | None = None
    since: float = 0.0
    certain: bool = True
    adopted: bool = False
    plain_root: RootFilesystem | None = None
    mounted: Mapping[bytes, int] = dataclasses.field(default_factory=dict)
    volume_image: Callable[[RuntimeMount], VolumeImage | None] = no_image
    pod_spec: PodSpec | None = None

    @property
    def role(self) -> Session | None:
        """What the container's own processes are by the pod's specification, where that is not the workload."""
        return self.pod_spec.role(self.container.name or "") if self.pod_spec is not None else None

    @functools.cached_property
    def root(self) -> RootFilesystem:
        """The root filesystem, and which of its files can be judged."""
        return self.plain_root or RootFilesystem(self.root_dev, self.layers, certain=self.certain)

    @property
    def gap(self) -> GapReason | None:
        """Why not all of it can be judged; None where it can."""
        if self.plain_root is not None:
            return self.plain_root.gap
        return "layers_unreadable" if self.layers is not None and not self.layers.is_complete else None

    def root_path(self, dev: int | None, inner: bytes) -> bytes | None:
        """Return where a file is below the root directory, None where it is on another filesystem (see `path_of`)."""
        if self.plain_root is None:
            return inner if dev == self.root_dev else None
        return self.plain_root.path_of(dev, inner)


class NotAContainer(Exception):
    """The exec was on the host's own filesystem: a service with a mount namespace, or a runtime's helper.

    `settled`: that holds for the whole namespace, not only for this exec.
    """

    def __init__(self, *, settled: bool) -> None:
        super().__init__()
        self.settled = settled


class Identifier:
    """Resolves execs to containers, with a bounded cache."""

    def __init__(
        self, runtimes: Sequence[Runtime], host_dev: int, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._runtimes = runtimes
        self._host_dev = host_dev
        host = host_root()
        self._is_host_at_top = host is None or host.root == b"/"
        self._sleep = sleep
        self._by_namespace: Recent[int, Resolved] = Recent(MAX_NAMESPACES)
        self._by_id: Recent[str, Resolved] = Recent(MAX_CONTAINERS)
        self._by_root: Recent[int, Resolved] = Recent(MAX_CONTAINERS)
        self._adopted: Recent[int, Container] = Recent(MAX_ADOPTED)

    def adopt(self, pid: int, container: Container) -> None:
        """Name a container that no runtime knows, by a process in its mount namespace. From any thread."""
        namespace = mount_namespace(pid)
        if namespace is not None:
            self._adopted.put(namespace, container)

    def resolve(self, evidence: ContainerEvidence) -> Resolved:
        """Return the container of an exec; raises NotAContainer."""
        known = self._by_namespace.get(evidence.namespace_id)
        if known is not None and not self._is_stale(known) and (known.certain or evidence.root != b"/"):
            return _with_mounts(known, evidence)
        resolved = self._resolve(evidence)
        self._by_namespace.put(evidence.namespace_id, resolved)
        return _with_mounts(resolved, evidence)

    def owner_of(self, dev: int) -> Container | None:
        """Return the container whose root filesystem has this device now; None where no runtime mounted it."""
        mount = find_overlay(dev, read_mounts(HOST_INIT))
        if mount is None:
            return None
        for runtime in self._runtimes:
            container_id = runtime.mounted_container_id(mount.point)
            known = self._by_id.get(container_id) if container_id is not None else None
            if known is not None and known.complete:
                return known.container
            found = runtime.find(container_id) if container_id is not None else None
            if found is not None:
                return found.container
        return None

    def _is_stale(self, known: Resolved) -> bool:
        is_settled = known.complete and (known.layers is None or known.layers.is_complete)
        return not is_settled and time.monotonic() - known.since > FORGET_AFTER

    def _resolve(self, evidence: ContainerEvidence) -> Resolved:
        adopted = self._adopted.get(evidence.namespace_inum)
        if adopted is not None:
            return dataclasses.replace(self._with_root(Found(adopted), evidence), adopted=True)
        ids = ids_from_cgroup(evidence.cgroup)
        is_directory = evidence.root_below and self._is_host_at_top
        if evidence.root_dev == self._host_dev and evidence.root == b"/" and not is_directory:
            # Before the root is switched, a runtime and its hooks run in the container's namespace.
            raise NotAContainer(settled=not ids)
        if not ids:
            return self._by_filesystem(evidence)
        for container_id in reversed(ids):
            known = self._by_id.get(container_id)
            if known is not None and not self._is_stale(known) and not self._has_other_root(known, evidence):
                return known
        resolved = self._query_runtimes(ids, evidence)
        if resolved.certain:
            self._by_id.put(resolved.container.id, resolved)
            if resolved.plain_root is None:
                self._by_root.put(resolved.root_dev, resolved)
        return resolved

    @staticmethod
    def _has_other_root(known: Resolved, evidence: ContainerEvidence) -> bool:
        """Return whether the exec shows another root: the container was started again, or made itself one.

        Which of the two, the host's mount table says; where no runtime knows the container, the root
        that was seen first stays.
        """
        return known.complete and known.root_dev != evidence.root_dev

    def _by_filesystem(self, evidence: ContainerEvidence) -> Resolved:
        """Without an id in the cgroup: a known container's filesystem, else an unknown overlay."""
        known = self._by_root.get(evidence.root_dev)
        if known is not None:
            return known
        if not evidence.overlay_root or evidence.root_dev == self._host_dev:
            return self._by_directory(evidence)
        mount = find_overlay(evidence.root_dev, read_mounts(HOST_INIT)) if evidence.root == b"/" else None
        found = self._found_at([mount.point]) if mount is not None else None
        if found is not None:
            return self._with_root(found, evidence)
        return self._unknown(unknown_label(evidence.cgroup), evidence)

    def _by_directory(self, evidence: ContainerEvidence) -> Resolved:
        """Return the container whose root is a directory of its runtime's storage; raises NotAContainer."""
        # A process in a chroot shows nothing about the others in its namespace.
        if evidence.root != b"/":
            raise NotAContainer(settled=False)
        if not evidence.root_below:
            raise NotAContainer(settled=True)
        root = root_of_namespace(evidence)
        points = paths_on_node(root) if root is not None else []
        found = self._found_at(points)
        if found is None:
            # Its runtime may not be known yet, or its record not be readable at this moment.
            raise NotAContainer(settled=root is not None and not any(map(_STORAGE.search, points)))
        return self._with_root(found, evidence)

    def _found_at(self, points: Iterable[bytes]) -> Found | None:
        """Return the container whose root filesystem its runtime has at one of these paths of the node."""
        for point in points:
            for runtime in self._runtimes:
                container_id = runtime.mounted_container_id(point)
                found = runtime.find(container_id) if container_id is not None else None
                if found is not None:
                    return found
        return None

    def _query_runtimes(self, ids: Sequence[str], evidence: ContainerEvidence) -> Resolved:
        """The outermost id that a runtime knows: a container may make cgroups below its own, named after another."""
        for attempt in range(TRIES):
            for container_id in reversed(ids):
                for runtime in self._runtimes:
                    found = runtime.find(container_id)
                    if found is not None:
                        return self._with_root(found, evidence)
            if attempt + 1 < TRIES:
                self._sleep(TRY_SECONDS)
        return self._unknown(ids[0], evidence)

    def _unknown(self, label: str, evidence: ContainerEvidence) -> Resolved:
        return self._with_root(Found(Container(id=label), complete=False), evidence)

    def _with_root(self, found: Found, evidence: ContainerEvidence) -> Resolved:
        root = root_filesystem(found, evidence)
        return Resolved(
            container=found.container,
            complete=found.complete,
            root_dev=root.dev,
            layers=root.layers,
            pid=evidence.pid,
            merged=found.merged,
            bundle=found.bundle,
            since=time.monotonic(),
            certain=root.certain,
            plain_root=None if root.is_overlay else root,
            volume_image=found.volume_image,
            pod_spec=found.pod_spec,
        )


def _with_mounts(resolved: Resolved, evidence: ContainerEvidence) -> Resolved:
    """Note the devices of the runtime's mounts, at the first exec whose process lives and has no root of its own."""
    bundle = resolved.bundle if not resolved.mounted and evidence.root == b"/" else None
    if bundle is not None and mount_namespace(evidence.pid) == evidence.namespace_inum:
        resolved.mounted = runtime_devices(bundle, evidence.pid)
    return resolved
