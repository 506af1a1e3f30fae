"""The mount namespaces of containers: found, kept up to date, and their mounts marked."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import os
import select
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.capture.fanotify.fuse import fuse_in_use
from sensor.capture.fanotify.group import OPEN_EXEC, Scope
from sensor.capture.fanotify.mount_tables import has_changed, mounts_below_root, reached, with_prefix
from sensor.capture.fanotify.procfs import MAX_STEPS, cgroup_names, process_stat
from sensor.container.base import ids_from_cgroup, payer_id
from sensor.container.mounts import (
    HOST_INIT,
    NODE_ROOTS,
    NOTHING_RUNS,
    mount_namespace,
    read_mounts,
    topmost_mount,
)
from sensor.container.recent import Recent
from sensor.files.deadline import Worker
from sensor.files.handles import file_status, open_directory

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.capture.fanotify.group import Fanotify
    from sensor.container.mounts import Mount

OF_ANOTHER: Final = -1
IN_NO_TABLE: Final = -2
"""The ids of a mount that is in another namespace's table, and of one that is in none that is known."""
MAX_WATCHED: Final = 2_048
"""Mount namespaces at once: two descriptors each."""
MAX_OF_CONTAINER: Final = 64
"""Of one container, which may make any number: they must not push out those of others."""
MAX_RETIRED: Final = 2_048
KEPT_SECONDS: Final = 30.0
"""How long the mounts of an ended container are remembered, for execs that are read late."""
SETTLED_SECONDS: Final = 0.5
"""For so long after a mark the process connector may report execs from before it."""
MAX_KNOWN_PIDS: Final = 32
PRIVATE: Final = frozenset({b"overlay", b"tmpfs", b"ramfs"})
"""Filesystems that are a container's own where the node itself has none with that device."""


class NamespaceAt(NamedTuple):
    """A mount namespace by its inode number, which is another's later, and when that was read (monotonic)."""

    inum: int
    time: float
    is_nodes: bool = False
    """Whether its root was seen to be the node's own."""


@dataclasses.dataclass(eq=False)
class Namespace:
    """One container's mount namespace. `number` is the sensor's own and never used again, as the kernel's are.

    `payer` is the container at whose expense its files are read. `prefix` is the root directory of `pid`, `/` but for
    a chroot: its table shows mount points below that. `is_trusted`: the sensor made it, and all that is mounted there.
    """

    number: int
    inum: int
    pid: int
    cgroup: tuple[bytes, ...] = ()
    payer: str = ""
    prefix: bytes = b"/"
    mounts: dict[int, Mount] = dataclasses.field(default_factory=dict)
    root: Mount | None = None
    pids: collections.deque[int] = dataclasses.field(default_factory=lambda: collections.deque(maxlen=MAX_KNOWN_PIDS))
    table: int = -1
    process: int = -1
    retired: float | None = None
    is_trusted: bool = False

    def is_container(self, host_dev: int) -> bool:
        """Return whether its root is a filesystem of its own: not so before a runtime has switched to it."""
        return self.root is not None and self.root.dev != host_dev


class Namespaces:
    """All that are known, by inode number and by their mounts. For one thread but for `knows` and `covers`."""

    def __init__(self, group: Fanotify, host_dev: int, watch: Callable[[int, int], None]) -> None:
        """`watch(fd, events)` adds a descriptor to the caller's poll, and hands over to `on_readable`."""
        self._group, self.host_dev, self._poll = group, host_dev, watch
        self.host_inum = mount_namespace(HOST_INIT) or mount_namespace(os.getpid()) or 0
        self._numbers = itertools.count(1)
        self._by_inum: dict[int, Namespace] = {}
        self._by_mount: dict[int, Namespace] = {}
        self._by_fd: dict[int, Namespace] = {}
        self._retired: collections.deque[Namespace] = collections.deque()
        self._marked: dict[int, float] = {}
        self._host_mounts: dict[int, Mount] = {}
        self._ghosts: Recent[int, Namespace] = Recent(MAX_RETIRED)
        self._overlays: Recent[int, Mount] = Recent(MAX_RETIRED)
        self._host_devs: set[int] = set()
        self._fuse_worker = Worker(max_hung=1)
        self._host_table = os.open(f"/proc/{HOST_INIT}/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._poll(self._host_table, select.EPOLLPRI)
        self._read_host()

    def scan(self) -> None:
        """Find the containers that run already."""
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                self.learn(int(entry.name))

    def knows(self, inum: int) -> bool:
        """Return whether a namespace need not be learned."""
        return inum == self.host_inum or inum in self._by_inum

    def covers(self, mount: int) -> bool:
        """Return whether fanotify should report an exec on a mount, if that is reported now: none from before the mark.

        As the mounts were when they were read last: one that was made since may have the same id, and no mark.
        """
        since = self._marked.get(mount)
        return (since is not None and time.monotonic() - since > SETTLED_SECONDS) or mount in self._host_mounts

    def is_host(self, mount: int) -> bool:
        """Return whether a mount is the node's own, while a file there is open: no container runs anything there."""
        # The node's mount that had this id may be gone, and a container have made one since.
        self._update_host()
        return mount in self._host_mounts

    def find(self, mount: int) -> tuple[Namespace, Mount] | None:
        """Return a mount by its id, and the namespace that it is in, as they were read last."""
        space = self._by_mount.get(mount)
        found = space.mounts.get(mount) if space is not None else None
        return (space, found) if space is not None and found is not None else None

    def find_for(self, pid: int, mount: int) -> tuple[Namespace, Mount] | None:
        """Return the mount by which a process runs a file that is open, and the namespace that it is in.

        None for overlay's own mounts, by which it opens its layers' files. An open file keeps the id of its mount from
        being given again: so what the tables show now is what it was.
        """
        space = self._by_mount.get(mount)
        if space is not None and space.retired is None:
            self._update(space)
            found = self.find(mount)
            if found is not None:
                return found
        space = self.learn(pid)
        if space is None:
            # Perhaps of an earlier mount with this id, of the same filesystem too.
            found = self.find(mount)
            is_sure = found is None or not self.is_root(found[1].dev)
            return found if is_sure or found is None else (found[0], dataclasses.replace(found[1], id=IN_NO_TABLE))
        self._update(space)
        found = self.find(mount)
        # An ended container's mount leaves its id to the next one, which may be one of overlay's own.
        return found if found is not None and found[0].retired is None else None

    def _update(self, space: Namespace) -> None:
        """Read a namespace's mounts again where they have changed since."""
        if space.table < 0 or has_changed(space.table):
            self.refresh(space)

    def is_root(self, dev: int) -> bool:
        """Return whether it is the device of an overlay that the node has mounted, as runtimes do for a container."""
        return dev in self._overlays and dev != self.host_dev

    def left_behind(self, dev: int, name: Callable[[bytes], str | None]) -> tuple[Namespace, Mount] | None:
        """The namespace of a container that was gone before its mounts were read: by its root, as the node mounted it.

        `dev` is a file's, which overlay gives its own number where its layers are on one filesystem; `name`
        returns the container's id from its mount point.
        """
        seen = self._overlays.get(dev)
        if seen is None or not self.is_root(dev):
            return None
        space = self._ghosts.get(dev)
        if space is None or space.root is None or space.root.id != seen.id:
            identifier = name(seen.point)
            cgroup = (identifier.encode(),) if identifier else ()
            root = dataclasses.replace(seen, point=b"/")
            space = Namespace(next(self._numbers), 0, 0, cgroup=cgroup, root=root)
            self._ghosts.put(dev, space)
        assert space.root is not None  # noqa: S101 - made so
        return space, space.root

    def learn(self, pid: int) -> Namespace | None:
        """Return the namespace of a process, known now if it was not; None for the node's own, and where it is gone."""
        inum = mount_namespace(pid)
        if inum is None or inum == self.host_inum:
            return None
        known = self._by_inum.get(inum)
        if known is not None:
            known.pids.append(pid)
            if known.root is None and mounts_below_root(pid) is not None and not self._follow(known):
                self._retire(known)
                return None
            return known
        return self._add(inum, pid)

    def at(self, noted: NamespaceAt) -> Namespace | None:
        """Return a namespace that was noted; None where it was not known then nor is now, or shows no root.

        One that is followed keeps its number from being given again.
        """
        ended = (each for each in self._retired if each.inum == noted.inum and (each.retired or 0.0) > noted.time)
        space = next(ended, self._by_inum.get(noted.inum))
        return space if space is not None and space.root is not None else None

    def above(self, pid: int) -> Namespace | None:
        """Return the namespace of a process, or the nearest above it that has a root; None at the node's own.

        In a chroot into a plain directory a process sees no mount, so nothing tells what its namespace has.
        """
        for _ in range(MAX_STEPS):
            space = self.learn(pid)
            if space is None or space.root is not None:
                return space
            try:
                pid = process_stat(pid)[1]
            except (OSError, ValueError, IndexError):
                break
        return None

    def trust(self, pid: int) -> None:
        """Watch all mounts of a process of the sensor's own, which serves no filesystem."""
        space = self.learn(pid)
        if space is not None:
            space.is_trusted = True
            self.refresh(space)

    def _add(self, inum: int, pid: int) -> Namespace | None:
        if len(self._by_inum) >= MAX_WATCHED:
            self._retire(next(iter(self._by_inum.values())))
        space = Namespace(next(self._numbers), inum, pid)
        space.pids.append(pid)
        self._by_inum[inum] = space
        if not self._follow(space):
            self._retire(space)
            return None
        self._keep_share(space.payer)
        return space

    def _keep_share(self, payer: str) -> None:
        """Retire the oldest of a container that makes ever new ones, but not its first: that is the runtime's."""
        of_payer = [space for space in self._by_inum.values() if space.payer == payer]
        for space in of_payer[1 : 1 + max(0, len(of_payer) - MAX_OF_CONTAINER)]:
            self._retire(space)

    def refresh(self, space: Namespace) -> None:
        """Read a namespace's mounts again, and mark them."""
        found = mounts_below_root(space.pid)
        if found is None or mount_namespace(space.pid) != space.inum:
            return
        space.prefix, mounts = found
        seen = {mount.id: with_prefix(mount, space.prefix) for mount in mounts}
        space.root = topmost_mount(list(seen.values()), b"/") or space.root
        cgroup = cgroup_names(space.pid)
        if ids_from_cgroup(cgroup) or not space.cgroup:
            space.cgroup, space.payer = cgroup, payer_id(cgroup)
        if not space.is_container(self.host_dev):
            return
        for gone in space.mounts.keys() - seen.keys():
            self._forget(gone, space)
        for mount in seen.values():
            if self._by_mount.get(mount.id) is not space or space.mounts.get(mount.id) != mount:
                self._marked.pop(mount.id, None)
        space.mounts = seen
        self._by_mount.update(dict.fromkeys(seen, space))
        self._mark_all(space)

    def on_readable(self, fd: int) -> bool:
        """A watched descriptor has news; False where it is not one of these."""
        if fd == self._host_table:
            self._read_host()
            return True
        space = self._by_fd.get(fd)
        if space is None:
            return False
        if fd == space.table:
            self.refresh(space)
        elif not self._follow(space):
            self._retire(space)
        return True

    def unmark(self) -> None:
        """Watch nothing any more; events that wait can still be read."""
        for scope in (Scope.FILESYSTEM, Scope.MOUNT):
            self._group.flush(scope)

    def close(self) -> None:
        """Close all descriptors."""
        for space in list(self._by_inum.values()):
            self._release(space)
        if self._host_table >= 0:
            os.close(self._host_table)
            self._host_table = -1

    def _follow(self, space: Namespace) -> bool:
        """Watch a namespace through one of the processes known to be in it; False where none is left."""
        self._release(space)
        for pid in dict.fromkeys((*reversed(space.pids), space.pid)):
            if mount_namespace(pid) == space.inum and self._hold(space, pid):
                self.refresh(space)
                return True
        return False

    def _hold(self, space: Namespace, pid: int) -> bool:
        try:
            space.process = os.pidfd_open(pid)
            space.table = os.open(f"/proc/{pid}/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
            self._poll(space.process, select.EPOLLIN)
            self._poll(space.table, select.EPOLLPRI)
        except OSError:
            self._release(space)
            return False
        space.pid = pid
        self._by_fd.update({space.process: space, space.table: space})
        return True

    def _release(self, space: Namespace) -> None:
        """Close its descriptors: an open mount table would keep a container's filesystems in use after its end."""
        for fd in (space.table, space.process):
            self._by_fd.pop(fd, None)
            if fd >= 0:
                os.close(fd)
        space.table = space.process = -1

    def _retire(self, space: Namespace) -> None:
        self._release(space)
        self._by_inum.pop(space.inum, None)
        space.retired = time.monotonic()
        self._retired.append(space)
        # Their ids are given again: of another mount the process connector reports what runs there.
        for mount in space.mounts:
            if self._by_mount.get(mount) is space:
                self._marked.pop(mount, None)
        while len(self._retired) > MAX_RETIRED or time.monotonic() - (self._retired[0].retired or 0.0) > KEPT_SECONDS:
            old = self._retired.popleft()
            for mount in old.mounts:
                self._forget(mount, old)

    def _forget(self, mount: int, space: Namespace) -> None:
        if self._by_mount.get(mount) is space:
            del self._by_mount[mount]
            self._marked.pop(mount, None)

    def _mark_all(self, space: Namespace) -> None:
        # Known ones too: unmounted and mounted again between two reads, one has the same id and device, and no mark.
        with contextlib.suppress(OSError), open_directory(f"/proc/{space.pid}/root") as root:
            for mount in space.mounts.values():
                if mount.fstype not in NOTHING_RUNS and not mount.is_remote:
                    self._mark(root, space, mount)

    def _mark(self, root: int, space: Namespace, mount: Mount) -> None:
        if mount.fstype == b"overlay" and not space.is_trusted:
            self._update_host()
            if mount.dev not in self._host_devs and fuse_in_use(self._fuse_worker):
                return  # made inside, perhaps on a filesystem that the container serves: to open a file may never end
        own = mount.fstype in PRIVATE and (mount.fstype == b"overlay" or mount.dev not in self._host_devs)
        scope = Scope.FILESYSTEM if own and mount.dev != self.host_dev else Scope.MOUNT
        # Where that fails, execs on it are seen by the process connector alone.
        with contextlib.suppress(OSError), reached(root, mount, prefix=space.prefix, payer=space.payer) as handle:
            if handle is not None:
                self._group.mark(OPEN_EXEC, scope, fd=handle)
                self._marked.setdefault(mount.id, time.monotonic())

    def _update_host(self) -> None:
        if has_changed(self._host_table):
            self._read_host()

    def _read_host(self) -> None:
        """Mark a container's root as soon as its runtime mounts it, before anything runs in it."""
        mounts = read_mounts(HOST_INIT)
        overlays = [mount for mount in mounts if mount.fstype == b"overlay"]
        for mount in overlays:
            # By more than its id: that of a container that is gone is another's at once.
            if self._host_mounts.get(mount.id) != mount:
                self._overlays.put(mount.dev, mount)
        self._host_mounts = {mount.id: mount for mount in mounts}
        self._host_devs = {mount.dev for mount in mounts}
        for mount in overlays:
            # Known ones too: unmounted and mounted again between two reads, it has the same id and device, and no mark.
            if mount.dev != self.host_dev:
                for prefix in NODE_ROOTS:
                    with contextlib.suppress(OSError):
                        self._mark_root(prefix + mount.point, mount.dev)

    def _mark_root(self, path: bytes, dev: int) -> None:
        with open_directory(path) as root:
            # Where the container has just ended, the path leads to a directory of the node's.
            if file_status(root).dev == dev:
                self._group.mark(OPEN_EXEC, Scope.FILESYSTEM, fd=root)
