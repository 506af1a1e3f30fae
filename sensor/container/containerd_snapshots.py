"""The layers of a container by containerd's own record: its services for containers and snapshots, on CRI's socket.

Asked only where the directories that a container's mount names are gone, as with mapped ids. Field numbers are those
of containerd's api/services/containers/v1 and api/services/snapshots/v1.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Final

from sensor.container.cri import CONTAINERD_NAMESPACE, CriError
from sensor.container.overlay import Layers, parse_options
from sensor.container.protobuf import field

if TYPE_CHECKING:
    from sensor.container.cri import Cri

GET_CONTAINER: Final = "/containerd.services.containers.v1.Containers/Get"
MOUNTS: Final = "/containerd.services.snapshots.v1.Snapshots/Mounts"

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class RecordedContainer:
    """What containerd itself knows of a container, in whatever namespace."""

    labels: dict[str, str]
    image: str
    snapshotter: str
    snapshot: str


def recorded_container(
    socket: Cri, container_id: str, namespace: str = CONTAINERD_NAMESPACE
) -> RecordedContainer | None:
    """Return containerd's record of a container, None where it has none; raises CriError."""
    answer = socket.call(GET_CONTAINER, field(1, container_id), namespace=namespace)
    if answer is None:
        return None
    container = answer.message(1)
    return RecordedContainer(container.texts(2), container.text(3), container.text(6), container.text(7))


def recorded_layers(socket: Cri, container_id: str, namespace: str = CONTAINERD_NAMESPACE) -> Layers | None:
    """Return the layers that containerd mounts for a container; None where it does not know, or did not answer."""
    try:
        known = recorded_container(socket, container_id, namespace)
        if known is None:
            return None
        mounts = socket.call(MOUNTS, field(1, known.snapshotter) + field(2, known.snapshot), namespace=namespace)
    except CriError as error:
        log.warning("The layers of containerd's container %s are unknown for now: %s", container_id, error)
        return None
    for mount in mounts.messages(1) if mounts is not None else []:
        if mount.text(1) == "overlay":
            # The mount's own options, as a mount(8) would be given them: commas are not escaped there.
            return parse_options(",".join(mount.strings(4)).encode())
    return None
