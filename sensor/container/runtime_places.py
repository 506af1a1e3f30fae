"""Where a node's container runtimes keep what they know: the usual places, and those that an option names."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

from sensor.container.containerd import ContainerdRuntime
from sensor.container.cri import REST, Cri
from sensor.container.crio import BUNDLES, CrioRuntime
from sensor.container.docker import TASKS as DOCKER_TASKS
from sensor.container.docker import DockerRuntime
from sensor.container.podman import DEFAULT_ROOT, PodmanRuntime

if TYPE_CHECKING:
    from sensor.container.base import Runtime

PlaceKind = Literal["containerd", "cri-o", "podman", "docker"]
USUAL: Final = "usual place"
CONTAINERD_TASKS: Final = "containerd/daemon/io.containerd.runtime.v2.task/moby"
"""Below dockerd's `exec-root`: the bundles of a containerd that it started itself."""


@dataclasses.dataclass(frozen=True, order=True)
class RuntimePlace:
    """One runtime: `directory` is containerd's state, the storage of podman or CRI-O, or Docker's data.

    `socket` is containerd's and CRI-O's. `runtime_directory` is where CRI-O and dockerd keep what lasts until a reboot,
    None for the usual one. `source` says how it is known, `is_of_user` that a user other than root names it: neither
    counts when two are compared.
    """

    kind: PlaceKind
    directory: Path
    socket: Path | None = None
    runtime_directory: Path | None = None
    source: str = dataclasses.field(default=USUAL, compare=False)
    is_of_user: bool = dataclasses.field(default=False, compare=False)

    @property
    def is_there(self) -> bool:
        """Whether something of it is there now, as far as this process may look."""
        try:
            return self.directory.is_dir() or (self.socket is not None and self.socket.exists())
        except OSError:
            return False


def _containerd(state: str, socket: str = "") -> RuntimePlace:
    return RuntimePlace("containerd", Path(state), Path(socket or f"{state}/containerd.sock"))


USUAL_PLACES: Final = (
    _containerd("/run/containerd"),
    # k3s and RKE2; k0s; MicroK8s; Bottlerocket's own; Talos' own.
    _containerd("/run/k3s/containerd"),
    _containerd("/run/k0s/containerd", "/run/k0s/containerd.sock"),
    _containerd("/var/snap/microk8s/common/run/containerd", "/var/snap/microk8s/common/run/containerd.sock"),
    _containerd("/run/host-containerd"),
    _containerd("/system/run/containerd"),
    RuntimePlace("cri-o", DEFAULT_ROOT, Path("/run/crio/crio.sock")),
    RuntimePlace("cri-o", DEFAULT_ROOT, Path("/var/run/crio/crio.sock")),
    RuntimePlace("podman", DEFAULT_ROOT),
    RuntimePlace("docker", Path("/var/lib/docker")),
    # Docker as a snap.
    RuntimePlace("docker", Path("/var/snap/docker/common/var-lib-docker"), runtime_directory=Path("/run/snap.docker")),
)
"""In the order in which they are queried. CRI-O before podman: they share a storage, and only CRI-O knows the pods."""


def place_from_option(text: str) -> RuntimePlace:
    """Return the place that `run --runtime` names: KIND=PATH, or with a second path as below. Raises ValueError.

    `podman=STORAGE`, `docker=DATA[,EXEC_ROOT]`, `containerd=SOCKET[,STATE]`, `cri-o=SOCKET[,STORAGE]`.
    """
    name, _, rest = text.partition("=")
    first, _, second = rest.partition(",")
    kind = next((kind for kind in get_args(PlaceKind) if kind == name), None)
    if kind is None or not first.startswith("/") or (second and not second.startswith("/")):
        raise ValueError(text)
    path, other = Path(first), Path(second) if second else None
    if kind == "containerd":
        return RuntimePlace(kind, other or state_of_socket(path), path, source="option")
    if kind == "cri-o":
        return RuntimePlace(kind, other or DEFAULT_ROOT, path, source="option")
    return RuntimePlace(kind, path, runtime_directory=other, source="option")


def state_of_socket(socket: Path) -> Path:
    """Return the state directory that belongs to a containerd's socket, as its distributions have it."""
    beside = socket.with_suffix("")  # k0s and MicroK8s have `containerd.sock` beside the directory `containerd`
    return beside if beside.is_dir() else socket.parent


def runtimes_at(place: RuntimePlace, rest: float = REST, node: str = "") -> list[Runtime]:
    """Return what reads a place, one for each driver of a storage.

    `rest`: seconds that a runtime is left alone which did not answer in time; `node`: the node's name, which ends the
    names of its static pods.
    """
    if place.kind == "containerd":
        socket = place.socket or place.directory / "containerd.sock"
        return [ContainerdRuntime(socket, Cri(socket, rest=rest), node, state=place.directory)]
    if place.kind == "cri-o":
        socket = place.socket or Path("/run/crio/crio.sock")
        run = place.runtime_directory
        bundles = run / "overlay-containers" if run is not None else BUNDLES
        return [CrioRuntime(socket, Cri(socket, rest=rest), PodmanRuntime(place.directory), bundles, node)]
    if place.kind == "podman":
        root = place.directory
        return [PodmanRuntime(root), PodmanRuntime(root, driver="vfs"), PodmanRuntime(root, driver="btrfs")]
    run = place.runtime_directory
    tasks = (*DOCKER_TASKS, run / CONTAINERD_TASKS) if run is not None else DOCKER_TASKS
    return [DockerRuntime(place.directory, tasks, node=node)]
