"""Programs that only the process connector reports: where they are judged, and the execs that they become."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from sensor.capture.fanotify.exec_in_progress import PATIENCE, ExecInProgress, container_path, descriptor_link
from sensor.capture.fanotify.namespaces import IN_NO_TABLE
from sensor.capture.fanotify.procfs import process_stat
from sensor.container.mounts import Mount, mount_id, mount_namespace
from sensor.files.handles import OpenFile, file_status
from sensor.record import Flag

if TYPE_CHECKING:
    from sensor.capture.fanotify.namespaces import Namespace, Namespaces
    from sensor.capture.fanotify.process_log import UnmarkedProgram


def program_space(program: UnmarkedProgram, spaces: Namespaces, memfd_dev: int) -> Namespace | None:
    """Return the namespace that a program is judged by; None where it can't be.

    Its own; where that shows no root, the one around it if that has the file's filesystem. Where it was gone before it
    was known, its parent's if the file is on the root of that: a memfd, or a volume, may be of a container inside.
    """
    spaces.learn(program.facts.pid)
    own = spaces.at(program.where)
    if own is not None:
        return own
    dev, around = program.facts.exe[0], space_around(program, spaces)
    if around is not None:
        return around if dev in {memfd_dev, *(mount.dev for mount in around.mounts.values())} else None
    parents = spaces.above(program.facts.parent)
    return parents if parents is not None and parents.root is not None and parents.root.dev == dev else None


def space_around(program: UnmarkedProgram, spaces: Namespaces) -> Namespace | None:
    """Return the nearest namespace with a root, from a program's own upwards; None where its process is not there."""
    pid, where = program.facts.pid, program.where
    try:
        is_there = mount_namespace(pid) == where.inum and process_stat(pid)[2] == program.facts.start_ns
    except (OSError, ValueError, IndexError):
        return None
    return spaces.above(pid) if is_there else None


def opened_unmarked(program: UnmarkedProgram, space: Namespace, spaces: Namespaces, memfd_dev: int) -> ExecInProgress:
    """Return the exec of a program; raises OSError."""
    status = file_status(program.handle)
    link = descriptor_link(program.handle)
    path = container_path(space, program.handle, link)
    is_memfd = status.dev == memfd_dev
    found = None if is_memfd else spaces.find_for(program.facts.pid, mount_id(program.handle))
    # On a mount that is in no table: a detached one, which somebody in the container made.
    mount = found[1] if found is not None else Mount(IN_NO_TABLE, status.dev, b"/", b"/", b"", b"")
    return ExecInProgress(
        file=None if mount.is_remote else OpenFile.adopt(os.dup(program.handle)),
        pid=program.facts.pid,
        time_ns=program.time_ns,
        space=space,
        mount=mount,
        path=path,
        exe=program.facts.exe,
        link=link,
        size=status.size,
        ctime_ns=status.ctime_ns,
        until=time.monotonic() + PATIENCE,
        flags=Flag.MEMFD if is_memfd else 0,
    )
