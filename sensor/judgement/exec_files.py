"""Open the files of an exec, while its process lives and after: its executable, and files that its argv names.

Every way in is checked against what the kernel saw, so that a file swapped since is not taken for the one that ran.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from sensor.container.base import payer_id
from sensor.container.bundle import mount_points
from sensor.container.mounts import in_chroot, inner_path, members, mount_namespace, mount_of_fd, read_mounts
from sensor.files.deadline import in_time
from sensor.files.handles import OpenFile, file_status, look_up, open_directory, open_file
from sensor.judgement.image_layers import in_upper, open_in_image, open_in_upper
from sensor.record import Flag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sensor.container.identify import Resolved
    from sensor.record import Opened, Record

T = TypeVar("T")

FUSE_MAGIC: Final = 0x65735546
OVERLAY_MAGIC: Final = 0x794C7630
NETWORK_MAGICS: Final = frozenset({0x6969, 0xFF534D42, 0xFE534D42, 0x517B, 0x00C36400, 0x01021997})
"""NFS, CIFS, SMB2, SMB, Ceph and 9p (linux/magic.h and their own headers): a dead server makes a reader hang."""
NEAR_ANCESTORS: Final = 4
MAX_DESCRIPTORS: Final = 256
"""Of a process, that are looked at for its script."""
_FD_PATH: Final = re.compile(rb"/dev/fd/(\d+)(?:/(.+))?", re.DOTALL)
"""What execveat(2) makes of a descriptor: `/dev/fd/N`, with the rest where it named one."""


@dataclasses.dataclass(slots=True)
class LocatedFile:
    """A file found by its name in a container: its path there, its filesystem and its path within that.

    `file` is None on a FUSE filesystem, from which nothing is read; `dev` None where it is on no mount. `mount_point`
    is where its filesystem is mounted, b"" where that is unknown, and `witness` a process that sees it there.
    """

    file: OpenFile | None
    path: bytes
    dev: int | None
    inner_path: bytes
    mount_point: bytes = b""
    witness: int = 0

    def close(self) -> None:
        """Release the file."""
        if self.file is not None:
            self.file.close()


def open_running(record: Record) -> OpenFile | None:
    """The executable through /proc/PID/exe, deleted or not; None where the process is gone. No server is involved."""
    if record.magic == FUSE_MAGIC:
        # The container answers for a FUSE filesystem: nothing is read from it.
        return None
    try:
        if record.magic in NETWORK_MAGICS:
            # These alone may need their server for a handle: the wait has a limit.
            file = _in_time(record, lambda: OpenFile.from_link(f"/proc/{record.pid}/exe"), OpenFile.close)
        else:
            file = OpenFile.from_link(f"/proc/{record.pid}/exe")
    except OSError:
        return None
    # Device and inode show whether the process still runs the same file: nobody can write to a file that runs. Overlay
    # may show a layer's device instead of its own, and another inode after a copy-up: then change time and size do.
    same = file.ino == record.ino and (file.dev == record.dev or record.magic == OVERLAY_MAGIC)
    return _kept(file, same=same or unchanged(file, record))


def open_mapped(record: Record) -> OpenFile | None:
    """Return a library through the process's own mapping of it, deleted or not; None where that is gone."""
    if record.magic == FUSE_MAGIC:
        return None
    try:
        lines = Path(f"/proc/{record.pid}/maps").read_bytes().split(b"\n")
        areas = (line.split(None, 5) for line in lines if line)
        area = next((fields[0].decode() for fields in areas if int(fields[4]) == record.ino), None)
        if area is None:
            return None
        # The kernel names the links without the leading zeros of maps.
        first, last = (int(address, 16) for address in area.split("-"))
        file = OpenFile.from_link(f"/proc/{record.pid}/map_files/{first:x}-{last:x}")
    except OSError:
        return None
    return _kept(file, same=unchanged(file, record))


def open_opened(record: Record, opened: Opened) -> OpenFile | None:
    """Return a file that an exec opened besides the program, by what only its process still has; None otherwise.

    That is the mapping of a program interpreter, or the descriptor of a script in a memfd. Others have a path.
    """
    seen = record.as_executable(opened)
    if opened.is_interpreter:
        return open_mapped(seen)
    return _open_descriptor(seen) if opened.flags & Flag.MEMFD else None


def _open_descriptor(record: Record) -> OpenFile | None:
    directory = f"/proc/{record.pid}/fd"
    with contextlib.suppress(OSError):
        for name in itertools.islice(os.listdir(directory), MAX_DESCRIPTORS):  # noqa: PTH208 - names alone
            with contextlib.suppress(OSError):
                file = OpenFile.from_link(f"{directory}/{name}")
                if file.ino == record.ino and unchanged(file, record):
                    return file
                file.close()
    return None


def open_left_behind(record: Record, resolved: Resolved, below: bytes | None) -> OpenFile | None:
    """Return the executable by its path, its process being gone: in the container, on the host, in its layer.

    Only if it was not changed since it ran: else somebody could put an allowed file in its place. Where a record of
    writers was kept, that decides when the file is read. `below` is where it is below the container's root directory,
    None on another filesystem.
    """
    return _open_by_path(record, resolved, below, _may_be_what_ran)


def _may_be_what_ran(file: OpenFile, record: Record) -> bool:
    return unchanged(file, record) or (record.state is not None and file.size == record.size)


def unchanged(file: OpenFile, record: Record) -> bool:
    """Return whether a file has the change time and size that the kernel saw at the exec."""
    return file.ctime_ns == record.ctime_ns and file.size == record.size


def _open_by_path(
    record: Record, resolved: Resolved, below: bytes | None, is_it: Callable[[OpenFile, Record], bool]
) -> OpenFile | None:
    if record.magic == FUSE_MAGIC:
        # Nothing is read through the server; but of a root that it serves, the container's own layer is the node's.
        return _open_in_upper(record, resolved, below, lambda file, seen: file.size == seen.size)
    with contextlib.suppress(TimeoutError):
        return _in_time(record, lambda: _open_by_any_path(record, resolved, below, is_it), _discard)
    return None


def _open_by_any_path(
    record: Record, resolved: Resolved, below: bytes | None, is_it: Callable[[OpenFile, Record], bool]
) -> OpenFile | None:
    for root, path in _roots(record, resolved, below):
        with contextlib.suppress(OSError):
            file = open_file(root, path)
            if is_it(file, record):
                return file
            file.close()
    return _open_in_upper(record, resolved, below, is_it)


def _open_in_upper(
    record: Record, resolved: Resolved, below: bytes | None, is_it: Callable[[OpenFile, Record], bool]
) -> OpenFile | None:
    left = open_in_upper(resolved.layers, below) if below and resolved.layers is not None else None
    return None if left is None else _kept(left, same=is_it(left, record))


def _roots(record: Record, resolved: Resolved, below: bytes | None) -> Iterator[tuple[str | bytes, bytes]]:
    """Root directories of the container, each with the path of the executable in it."""
    pids = _near_pids(record, resolved)
    for pid in members(pids, record.namespace_inum):
        yield f"/proc/{pid}/root", record.path
    if resolved.merged is not None and below is not None:
        yield bytes(resolved.merged), below or record.path


def _near_pids(record: Record, resolved: Resolved) -> tuple[int, ...]:
    """Processes that may be in the mount namespace of the exec, and may still be there."""
    return (record.pid, *(pid for pid, _ in record.ancestors[:NEAR_ANCESTORS]), resolved.pid)


def _kept(file: OpenFile, *, same: bool) -> OpenFile | None:
    if same:
        return file
    file.close()
    return None


def _in_time(record: Record, work: Callable[[], T], discard: Callable[[T], None]) -> T:
    """Look into a container's filesystems, some of which may be its own; raises TimeoutError, and what `work` does."""
    return in_time(work, discard, payer=payer_id(record.cgroup))


def _discard(found: OpenFile | LocatedFile | None) -> None:
    if found is not None:
        found.close()


def locate(record: Record, resolved: Resolved, name: bytes) -> LocatedFile | None:
    """Find what `name` means to the process: a script, or an argument of a loader or an interpreter.

    Once its process and all near it are gone, in what is left of the layers. None where it is in neither, or the
    filesystems on the way do not answer.
    """
    found = None
    with contextlib.suppress(TimeoutError):
        found = _in_time(record, lambda: _locate_by_process(record, resolved, name), _discard)
    return found or _locate_in_layers(record, resolved, name)


def _locate_by_process(record: Record, resolved: Resolved, name: bytes) -> LocatedFile | None:
    for link, path, witness in _candidates(record, resolved, name):
        found = _locate_file(link, path, witness)
        if found is not None:
            return found
    return None


def _candidates(record: Record, resolved: Resolved, name: bytes) -> Iterator[tuple[str, bytes | None, int]]:
    """Return links in /proc, each with the path of `name` below its target and a process that sees the mounts there.

    The path is None where the link itself leads to the file.
    """
    pids = _near_pids(record, resolved)
    by_fd = _FD_PATH.fullmatch(name)
    if by_fd is None and record.cwd is None and not name.startswith(b"/"):
        return
    if by_fd is not None or mount_namespace(record.pid) == record.namespace_inum:
        # A process in a chroot is shown only the mounts below its root.
        inside = members(pids, record.namespace_inum) if record.root != b"/" else ()
        witness = next((pid for pid in inside if not in_chroot(pid)), record.pid)
        if by_fd is not None:
            yield f"/proc/{record.pid}/fd/{int(by_fd[1])}", by_fd[2], witness
            return
        yield f"/proc/{record.pid}/root", _own_path(record, name), witness
    whole = _whole_path(record, name)
    for pid in members(pids, record.namespace_inum):
        yield f"/proc/{pid}/root", whole, pid


def _whole_path(record: Record, name: bytes) -> bytes:
    """Return the path for every process but the one in a chroot, which does not see that part of the way."""
    return record.root.rstrip(b"/") + name if name.startswith(b"/") else (record.cwd or b"") + b"/" + name


def _own_path(record: Record, name: bytes) -> bytes:
    """Return the path for the process itself."""
    return name if name.startswith(b"/") else _whole_path(record, name).removeprefix(record.root.rstrip(b"/"))


def _locate_file(link: str, path: bytes | None, witness: int) -> LocatedFile | None:
    """Return what lies at `path` below the target of a link in /proc, or that target itself; None where it is gone.

    Its mount is looked up among those that the process `witness` sees.
    """
    with contextlib.ExitStack() as opened, contextlib.suppress(OSError):
        if path is None:
            handle = os.open(link, os.O_PATH | os.O_CLOEXEC)
        else:
            handle = look_up(opened.enter_context(open_directory(link)), path)
        opened.callback(os.close, handle)
        # Read while the handle holds its mount: the id of a mount that is gone may be another's by now.
        mount = mount_of_fd(handle, read_mounts(witness))
        # Fails where the path is longer than 4,096 bytes, which a container can make it.
        found = os.fsencode(Path(f"/proc/self/fd/{handle}").readlink())
        if mount is not None and mount.fstype.startswith(b"fuse"):
            return LocatedFile(None, found, mount.dev, found)
        if file_status(handle).nlink == 0:
            found = found.removesuffix(b" (deleted)")
        file = OpenFile.adopt(os.dup(handle))
        if mount is None:
            return LocatedFile(file, found, None, found)
        return LocatedFile(file, found, mount.dev, inner_path(mount, found), mount.point, witness)
    return None


def _locate_in_layers(record: Record, resolved: Resolved, name: bytes) -> LocatedFile | None:
    """Return the file once the container is gone: in its remaining layers, by a path free of symlinks."""
    if record.cwd is None and not name.startswith(b"/"):
        return None
    path = b"/" + os.path.normpath(_whole_path(record, name)).lstrip(b"/")
    mounted = mount_points(resolved) or ()
    # The mount is gone, and the layers' file below it is not the one that the container saw.
    if resolved.layers is None or any(path.startswith(point + b"/") for point in mounted):
        return None
    file = open_in_upper(resolved.layers, path)
    if file is None and not in_upper(resolved.layers, path):
        file = open_in_image(resolved.layers, path)
    return LocatedFile(file, path, resolved.root_dev, path) if file is not None else None
