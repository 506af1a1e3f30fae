"""The interface to a runtime, and its facts about a container."""

from __future__ import annotations

import dataclasses
import functools
import posixpath
import re
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from sensor.names.escaping import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from sensor.container.overlay import Layers
    from sensor.container.pod_spec import PodSpec
    from sensor.wire import Container

_ID: Final = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


class RuntimeMount(msgspec.Struct, frozen=True):
    """One of the mounts that a config.json names.

    `destination` is the path that the kernel knows it by, but for symlinks: a pod's author may write `/model/`.
    """

    destination: str
    source: str = ""
    type: str = ""
    options: list[str] = []

    def __post_init__(self) -> None:
        """Normalise the path as runtimes do when they mount."""
        msgspec.structs.force_setattr(self, "destination", mount_point(self.destination))


def mount_point(named: str) -> str:
    """Return the path that was named for a mount in a container, from `/` and without `.`, `..` and more slashes."""
    return "/" + posixpath.normpath("/" + named).lstrip("/")


def no_image(_: RuntimeMount) -> VolumeImage | None:
    """Return None, as of a runtime that does not tell which images it mounts."""
    return None


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeImage:
    """An image that a runtime mounted as a volume: its full reference and its digest, None where unknown.

    `layers` are its own directories on the node, None where they can't be had: what is in no container's reach says
    which files are the image's. `below` is the directory in it that the volume shows, b"" for all of it.
    """

    name: str | None
    digest: str | None
    layers: Layers | None = None
    below: bytes = b""


@dataclasses.dataclass(frozen=True)
class Found:
    """A container as its runtime describes it.

    `merged` is where the host sees its root filesystem while it runs, `layers` the directories that it is
    made of; `bundle` is the directory of its OCI config.json. Each None where the runtime keeps none.
    `query_layers` asks the runtime for the layers where `layers` is None. Not `complete` where the runtime should know
    more but did not answer: it is queried again later. `volume_image` tells of a mount of its which image it shows,
    None of any other mount. `pod_spec` is there where the cluster's API server tells it.
    """

    container: Container
    merged: Path | None = None
    layers: Layers | None = None
    bundle: Path | None = None
    complete: bool = True
    query_layers: Callable[[], Layers | None] | None = None
    volume_image: Callable[[RuntimeMount], VolumeImage | None] = no_image
    pod_spec: PodSpec | None = None

    def recorded_layers(self) -> Layers | None:
        """Return the layers by the runtime's own record; None where it keeps none, or does not answer."""
        if self.layers is not None or self.query_layers is None:
            return self.layers
        return self.query_layers()


class Runtime(Protocol):
    """One container runtime on this node."""

    name: str

    def find(self, container_id: str) -> Found | None:
        """Return what the runtime knows about this container now, or None. Fast: an exec waits for it."""
        ...

    def mounted_container_id(self, point: bytes) -> str | None:
        """Return the id of the container whose root filesystem this runtime mounts there on the host, or None."""
        ...


def ids_from_cgroup(names: Iterable[bytes]) -> list[str]:
    """Return the container ids (64 hex digits) in the names of a cgroup and those above it, deepest first.

    `libpod-ID`, `docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID.scope` and a bare ID all hold it.
    """
    return list(_ids(tuple(names)))


@functools.lru_cache(1_024)
def _ids(names: tuple[bytes, ...]) -> tuple[str, ...]:
    return tuple(found[0].decode() for name in names if (found := _ID.search(name)))


def payer_id(cgroup: Sequence[bytes]) -> str:
    """The container at whose expense an exec is examined: the outermost in its cgroup, which can't choose its name."""
    ids = ids_from_cgroup(cgroup)
    return ids[-1] if ids else b"/".join(cgroup).decode(errors="backslashreplace")


def unknown_label(names: Iterable[bytes]) -> str:
    """Return the cgroup's own name, which replaces the id of a container that has none in its cgroup."""
    return safe_text(next(iter(names), b""))[:64]
