"""Runtimes in unusual places: found by their mounts, processes and settings when a container is known to no other."""

from __future__ import annotations

import collections
import itertools
import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from sensor.container.containerd import TASKS_DIRECTORY
from sensor.container.cri import REST
from sensor.container.mounts import HOST_INIT, Mount, read_mounts
from sensor.container.runtime_places import RuntimePlace, runtimes_at
from sensor.container.runtime_processes import places_of_processes
from sensor.container.runtime_settings import NodeFiles, node_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sensor.container.base import Found, Runtime

SEARCH_SECONDS: Final = 5.0
"""Between two searches: an exec of a container that nobody knows must not cost one each time."""
MAX_PLACES: Final = 64
"""Found by what root set up; as many more by what users say, who must not take the room of the others."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class DiscoveredRuntimes:
    """All runtimes that are found besides the known ones, as one; any thread may call it. The last one to be queried.

    What it finds stays: a runtime that ends leaves its records, and may come back.
    """

    name = "discovered"

    def __init__(
        self,
        known: Iterable[RuntimePlace],
        search: Callable[[], Iterable[RuntimePlace]] | None = None,
        *,
        rest: float = REST,
        node: str = "",
    ) -> None:
        self._known = set(known)
        self._search = discovered_places if search is None else search
        self._rest, self._node = rest, node
        self._runtimes: list[Runtime] = []
        self._found: collections.Counter[bool] = collections.Counter()
        self._next_search = 0.0
        self._lock = threading.Lock()

    def find(self, container_id: str) -> Found | None:
        """Return what a discovered runtime knows about this container; searches for more where none does."""
        return self._ask(lambda runtime: runtime.find(container_id))

    def mounted_container_id(self, point: bytes) -> str | None:
        """Return the id of the container whose root filesystem a discovered runtime mounts there on the host."""
        return self._ask(lambda runtime: runtime.mounted_container_id(point)) if _is_of_runtime(point) else None

    def _ask(self, ask: Callable[[Runtime], T | None]) -> T | None:
        for runtime in list(self._runtimes):
            if (answer := ask(runtime)) is not None:
                return answer
        return next((answer for runtime in self._newly_found() if (answer := ask(runtime)) is not None), None)

    def _newly_found(self) -> Sequence[Runtime]:
        """Search, unless that was done a moment ago; return the runtimes that were not known before."""
        with self._lock:
            if time.monotonic() < self._next_search:
                return []
            self._next_search = time.monotonic() + SEARCH_SECONDS
            found: list[Runtime] = []
            for place in self._search():
                if place not in self._known and self._found[place.is_of_user] < MAX_PLACES and place.is_there:
                    self._known.add(place)
                    self._found[place.is_of_user] += 1
                    log.info("Found %s at %r (%s)", place.kind, str(place.directory), place.source)
                    found += runtimes_at(place, self._rest, self._node)
            self._runtimes += found
            return found


_ROOT_DIRECTORIES: Final = (["dir", "vfs"], ["subvolumes", "btrfs"])
"""Of a storage whose layers are whole directories, from the last name up."""


def discovered_places() -> list[RuntimePlace]:
    """Return every place where a runtime of this node keeps its data, by mounts, processes and settings, each once.

    In the order of trust: what only a user's own files name comes last.
    """
    settings = NodeFiles(node_root())
    found = itertools.chain(places_of_mounts(read_mounts(HOST_INIT)), places_of_processes(), settings.places())
    return list(dict.fromkeys(found))


def places_of_mounts(mounts: Iterable[Mount]) -> Iterator[RuntimePlace]:
    """Yield the runtimes that have mounted overlays on the node, by the names of their mount points."""
    for mount in mounts:
        if mount.fstype == b"overlay":
            yield from _place_of_mount(Path(os.fsdecode(mount.point)))


def _place_of_mount(point: Path) -> Iterator[RuntimePlace]:
    names, source = [parent.name for parent in point.parents], f"mount {point}"
    if point.name == "rootfs" and names[2:3] == [TASKS_DIRECTORY]:
        state = point.parents[3]
        beside = state.with_suffix(".sock")  # of k0s and MicroK8s
        yield RuntimePlace("containerd", state, beside if beside.exists() else state / "containerd.sock", source=source)
    elif (point.name == "merged" and names[1:2] == ["overlay"]) or names[:2] in _ROOT_DIRECTORIES:
        yield RuntimePlace("podman", point.parents[2], source=source)
    elif (point.name == "merged" and names[1:2] == ["overlay2"]) or names[:2] == ["overlayfs", "rootfs"]:
        yield RuntimePlace("docker", point.parents[2], source=source)


def _is_of_runtime(point: bytes) -> bool:
    return next(_place_of_mount(Path(os.fsdecode(point))), None) is not None
