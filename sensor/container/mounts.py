"""The mount table of a process, from /proc/PID/mountinfo (proc(5)). Paths are bytes."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REMOTE: Final = (b"fuse", b"nfs", b"cifs", b"smb", b"ceph", b"9p", b"afs", b"virtiofs", b"lustre", b"gfs", b"ocfs")
"""Prefixes of types whose server may never answer, or is the container itself."""
NOTHING_RUNS: Final = frozenset(
    {
        *(b"proc", b"sysfs", b"cgroup", b"cgroup2", b"devpts", b"mqueue", b"securityfs", b"debugfs", b"tracefs"),
        *(b"bpf", b"pstore", b"efivarfs", b"configfs", b"autofs", b"nsfs", b"binfmt_misc", b"rpc_pipefs"),
    }
)
"""Types of filesystems from which no program is executed."""
HOST_INIT: Final = 1
"""Its mount table shows the containers' root filesystems, mounted there by their runtimes."""
NODE_ROOTS: Final = (b"", f"/proc/{HOST_INIT}/root".encode())
"""Where a path of that table may lead from here: not every sensor has the node's mounts, or access to its init."""

_OCTAL: Final = re.compile(rb"\\([0-7]{3})")


@dataclasses.dataclass(frozen=True, slots=True)
class Mount:
    """One mount: `dev` as os.makedev of its superblock; `root` the part of it that shows at `point`."""

    id: int
    dev: int
    root: bytes
    point: bytes
    fstype: bytes
    options: bytes

    @property
    def is_remote(self) -> bool:
        """Whether to open a file there may hang."""
        return self.fstype.startswith(REMOTE)


def read_mounts(pid: int) -> list[Mount]:
    """Return the mounts that a process sees, bottom first; [] where it is gone."""
    try:
        return parse_mounts(Path(f"/proc/{pid}/mountinfo").read_bytes())
    except OSError:
        return []


def parse_mounts(text: bytes) -> list[Mount]:
    """Parse mountinfo's lines; unknown optional fields are skipped, as proc(5) requires.

    The kernel escapes spaces, tabs, line feeds and backslashes, and no other end of a line: a container may
    name a mount `a\\rb`, which `splitlines` would take for two.
    """
    return [_parse_line(line) for line in text.split(b"\n") if line]


def _parse_line(line: bytes) -> Mount:
    left, _, right = line.partition(b" - ")
    number, _, device, root, point = left.split(b" ")[:5]
    fstype, _, options = right.split(b" ")[:3]
    major, minor = device.split(b":")
    return Mount(
        id=int(number),
        dev=os.makedev(int(major), int(minor)),
        root=unescape_octal(root),
        point=unescape_octal(point),
        fstype=fstype,
        options=options,
    )


def unescape_octal(field: bytes) -> bytes:
    """Return a field of mountinfo with the kernel's `\\040` escapes undone."""
    return _OCTAL.sub(lambda match: bytes([int(match[1], 8)]), field)


def inner_path(mount: Mount, path: bytes) -> bytes:
    """Where a path below a mount's point is on the filesystem that is mounted there."""
    return mount.root.rstrip(b"/") + path.removeprefix(mount.point.rstrip(b"/"))


def mount_id(fd: int) -> int:
    """Return the id of the mount that an open file was reached by, as mountinfo has it; -1 where that is unknown."""
    for line in Path(f"/proc/self/fdinfo/{fd}").read_bytes().splitlines():
        if line.startswith(b"mnt_id:"):
            return int(line.split()[1])
    return -1


def mount_namespace(pid: int) -> int | None:
    """Return the inode number of a process's mount namespace; None where it is gone."""
    try:
        return os.stat(f"/proc/{pid}/ns/mnt").st_ino  # noqa: PTH116 - on the way of an exec
    except OSError:
        return None


def in_chroot(pid: int) -> bool:
    """Return whether a process has another root than its mount namespace; True where it is gone."""
    try:
        return os.readlink(f"/proc/{pid}/root") != "/"  # noqa: PTH115 - a path of another namespace
    except OSError:
        return True


def members(pids: Iterable[int], namespace_inum: int) -> Iterator[int]:
    """Yield those of some processes that are in a mount namespace, each once."""
    for pid in dict.fromkeys(pids):
        # Pids are given out again: what was a parent may be in another container by now.
        if mount_namespace(pid) == namespace_inum:
            yield pid


def mount_of_fd(fd: int, mounts: list[Mount]) -> Mount | None:
    """Return the mount that an open file was reached by, None where it is not among `mounts`."""
    number = mount_id(fd)
    return next((mount for mount in mounts if mount.id == number), None)


def topmost_mount(mounts: list[Mount], point: bytes) -> Mount | None:
    """Return the visible (last) mount at `point`, or None."""
    return next((mount for mount in reversed(mounts) if mount.point == point), None)


def host_root() -> Mount | None:
    """Return the node's own root, also where the sensor itself runs in a container (with the node's pids)."""
    return topmost_mount(read_mounts(HOST_INIT), b"/")


def host_dev() -> int:
    """Return the device of the node's own root."""
    root = host_root()
    return root.dev if root is not None else Path("/").stat().st_dev
