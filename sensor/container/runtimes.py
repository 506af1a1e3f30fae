"""The runtimes that a node may have, in the order in which they are queried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.container.containerd import SOCKETS, ContainerdRuntime
from sensor.container.cri import REST, Cri
from sensor.container.crio import SOCKET, CrioRuntime
from sensor.container.docker import DockerRuntime
from sensor.container.podman import PodmanRuntime

if TYPE_CHECKING:
    from sensor.container.base import Runtime


def runtimes_of_node(rest: float = REST, node: str = "") -> list[Runtime]:
    """Return all known runtimes, present or not: querying one that is absent costs a check for its socket.

    CRI-O before podman: they share a storage, and only CRI-O knows the pods. `rest`: seconds that one is left alone
    which did not answer in time; `node`: the node's name, which ends the names of its static pods.
    """
    containerds = [ContainerdRuntime(socket, Cri(socket, rest=rest), node) for socket in SOCKETS]
    podmans = [PodmanRuntime(), PodmanRuntime(driver="vfs"), PodmanRuntime(driver="btrfs")]
    return [*containerds, CrioRuntime(cri=Cri(SOCKET, rest=rest), node=node), *podmans, DockerRuntime(node=node)]
