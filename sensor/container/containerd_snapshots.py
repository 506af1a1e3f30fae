"""The layers of a container by containerd's own record: its services for containers and snapshots, on CRI's socket.

Asked only where the directories that a container's mount names are gone, as with mapped ids. Field numbers are those
of containerd's api/services/containers/v1 and api/services/snapshots/v1.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sensor.container.cri import CriError
from sensor.container.overlay import Layers, parse_options
from sensor.container.protobuf import field

if TYPE_CHECKING:
    from sensor.container.cri import Cri

GET_CONTAINER: Final = "/containerd.services.containers.v1.Containers/Get"
MOUNTS: Final = "/containerd.services.snapshots.v1.Snapshots/Mounts"

log = logging.getLogger(__name__)


def recorded_layers(socket: Cri, container_id: str) -> Layers | None:
    """Return the layers that containerd mounts for a container; None where it does not know, or did not answer."""
    try:
        answer = socket.call(GET_CONTAINER, field(1, container_id))
        if answer is None:
            return None
        container = answer.message(1)
        snapshotter, key = container.text(6), container.text(7)
        mounts = socket.call(MOUNTS, field(1, snapshotter) + field(2, key))
    except CriError as error:
        log.warning("The layers of containerd's container %s are unknown for now: %s", container_id, error)
        return None
    for mount in mounts.messages(1) if mounts is not None else []:
        if mount.text(1) == "overlay":
            # The mount's own options, as a mount(8) would be given them: commas are not escaped there.
            return parse_options(",".join(mount.strings(4)).encode())
    return None
