"""Programs that only the process connector reports: where they are judged, and the execs that they become."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from sensor.capture.fanotify.exec_in_progress import PATIENCE, ExecInProgress, container_path, descriptor_link
from sensor.capture.fanotify.namespaces import IN_NO_TABLE
from sensor.container.mounts import Mount, mount_id
from sensor.files.handles import OpenFile, file_status
from sensor.record import Flag

if TYPE_CHECKING:
    from sensor.capture.fanotify.namespaces import Namespace, Namespaces
    from sensor.capture.fanotify.process_log import UnmarkedProgram


def program_space(program: UnmarkedProgram, spaces: Namespaces, memfd_dev: int) -> Namespace | None:
    """Return the namespace that a program is judged by; None where it can't be.

    Its own, or where that shows no root, or was gone before it was known, that of its parent if that has the file's
    filesystem: the parent may be outside of the program's container.
    """
    spaces.learn(program.facts.pid)
    own = spaces.at(program.where)
    if own is not None:
        return own
    space = spaces.above(program.facts.pid) or spaces.above(program.facts.parent)
    if space is None:
        return None
    devs = {memfd_dev, *(mount.dev for mount in space.mounts.values())}
    return space if program.facts.exe[0] in devs else None


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
