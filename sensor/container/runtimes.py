"""The runtimes that a node may have, in the order in which they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.container.containerd import SOCKETS, ContainerdRuntime
from sensor.container.crio import CrioRuntime
from sensor.container.docker import DockerRuntime
from sensor.container.podman import PodmanRuntime

if TYPE_CHECKING:
    from sensor.container.base import Runtime


def runtimes_of_node() -> list[Runtime]:
    """All that are known, there or not: asking one that is not there costs a look at its socket.

    CRI-O before podman: they share a storage, and only CRI-O knows the pods.
    """
    return [*(ContainerdRuntime(socket) for socket in SOCKETS), CrioRuntime(), PodmanRuntime(), DockerRuntime()]
