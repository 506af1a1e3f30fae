"""One exec on its way through the fallback backend, and the record that it becomes."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor.capture.fanotify.procfs import Fork, process_ancestors, process_facts, program_path
from sensor.container.mounts import inner_path
from sensor.files.deadline import in_time
from sensor.files.handles import OpenFile, file_status, look_up, open_directory
from sensor.judgement.exec_files import FUSE_MAGIC, OVERLAY_MAGIC
from sensor.record import Flag, Opened, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sensor.capture.fanotify.namespaces import Namespace
    from sensor.capture.fanotify.procfs import ProcessFacts
    from sensor.container.mounts import Mount

PATIENCE: Final = 0.25
"""Seconds after which an exec in progress is late: a new program's arguments are there once it runs."""
_DELETED: Final = b" (deleted)"


@dataclasses.dataclass(slots=True)
class ExecInProgress:
    """A file that was opened to be executed, held where it may be read. The process may not run it yet.

    `exe` and `link` are its device and inode, and its path, in the form that `ProcessFacts` has them. Until `until`
    (monotonic) the process is given time. `is_certain`: a process that runs this file does so since this exec; it may
    have run the same one before, as a shell does that runs a shell's script. `scripts` are those of its `#!` chain that
    may be drift, outermost first; `interpreter` what was opened after a dynamic program, as its loader is, if that may
    be drift: a program of its own only if the process runs it. `is_one_of_several`: its process may have run it for
    other scripts too, so arguments are these scripts' only if they show so, behind this number of `words`.
    """

    file: OpenFile | None
    pid: int
    time_ns: int
    space: Namespace
    mount: Mount
    path: bytes
    exe: tuple[int, int]
    link: bytes
    size: int
    ctime_ns: int
    until: float
    flags: int = 0
    scripts: Sequence[ExecInProgress] = ()
    interpreter: ExecInProgress | None = None
    is_certain: bool = False
    is_one_of_several: bool = False
    words: int | None = None

    def close(self) -> None:
        """Release the files."""
        if self.file is not None:
            self.file.close()
        for opened in self.opened:
            opened.close()

    def facts_now(self) -> ProcessFacts | None:
        """Return the facts of its process now; None where that is gone, and its pid perhaps a younger one's."""
        facts = process_facts(self.pid)
        return facts if facts is not None and facts.start_ns <= self.time_ns else None

    def is_running(self, facts: ProcessFacts | None) -> bool:
        """Return whether a process runs this file."""
        return facts is not None and facts.exe == self.exe

    def is_known(self, facts: ProcessFacts | None) -> bool:
        """Return whether a process runs this file and its arguments are there."""
        return facts is not None and facts.exe == self.exe and facts.is_complete

    def is_settled(self, facts: ProcessFacts | None) -> bool:
        """Return whether it runs the file by this name: its program before may be a hard link to the same file."""
        return facts is not None and self.is_known(facts) and _undeleted(facts.link) == _undeleted(self.link)

    def own_facts(self, facts: ProcessFacts | None) -> ProcessFacts | None:
        """Return the facts of its process, without the arguments where these may be those of another exec."""
        if facts is None or not self.is_one_of_several or self._names_script(facts):
            return facts
        return dataclasses.replace(facts, argv=(), argv_cut=False)

    def _names_script(self, facts: ProcessFacts) -> bool:
        """Whether the arguments name the outermost script where the kernel puts the name that it was executed by."""
        if self.words is None or len(facts.argv) <= self.words:
            return False
        return posixpath.normpath(posixpath.join(facts.cwd, facts.argv[self.words])) == self.scripts[0].path

    @property
    def inner(self) -> bytes:
        """Its path on its filesystem."""
        return inner_path(self.mount, self.path)

    @property
    def opened(self) -> Sequence[ExecInProgress]:
        """What the exec has opened besides the program."""
        return (*self.scripts, *((self.interpreter,) if self.interpreter is not None else ()))

    def as_opened(self, *, is_interpreter: bool) -> Opened:
        """Return the facts on this file as on one that another program's exec opened."""
        return Opened(
            is_interpreter=is_interpreter,
            flags=self.flags & Flag.UPPER,
            ino=self.exe[1],
            size=self.size,
            ctime_ns=self.ctime_ns,
            dev=self.mount.dev,
            magic=_magic(self.mount),
            path=self.path,
            mount_point=self.mount.point,
            inner_path=self.inner,
            writer=None,
        )


def _undeleted(link: bytes) -> bytes:
    return link.removesuffix(_DELETED)


def descriptor_link(fd: int) -> bytes:
    """Where an open file is, as its link in /proc shows; raises OSError: paths may be too long."""
    return os.fsencode(Path(f"/proc/self/fd/{fd}").readlink())


def container_path(space: Namespace, fd: int, path: bytes) -> bytes:
    """Where a container sees an open file, from its `descriptor_link`; a deleted one where it was. Raises OSError."""
    # A file's own name may end so: it is not deleted then, and its name leads to it.
    if path.endswith(_DELETED) and (file_status(fd).nlink == 0 or not _exists(space, path)):
        return path.removesuffix(_DELETED)
    return path


def is_deleted(fd: int) -> bool:
    """Return whether no name leads to an open file any more, as far as its link in /proc shows."""
    return descriptor_link(fd).endswith(_DELETED)


def _exists(space: Namespace, path: bytes) -> bool:
    """False too where the filesystems on the way do not answer."""
    with contextlib.suppress(TimeoutError):
        return in_time(lambda: _leads_somewhere(space, path), payer=space.payer)
    return False


def _leads_somewhere(space: Namespace, path: bytes) -> bool:
    with contextlib.suppress(OSError), open_directory(f"/proc/{space.pid}/root") as root:
        os.close(look_up(root, path, symlinks=False))
        return True
    return False


def exec_record(
    opened: ExecInProgress,
    facts: ProcessFacts | None,
    fork: Callable[[int, int], Fork | None],
    *,
    bare: bool = False,
) -> Record:
    """Return the record that the kernel program would have written, as far as that is known afterwards.

    `facts` are the process's, None where it is gone. `bare` leaves out who started it: that takes some reading.
    """
    ancestors = () if bare else _ancestors(opened, facts, fork)
    space, root = opened.space, opened.space.root
    known = facts if opened.is_known(facts) else None
    return Record(
        flags=_flags(opened, known),
        time_ns=opened.time_ns,
        start_ns=facts.start_ns if facts is not None else None,
        namespace_id=space.number,
        ino=opened.exe[1],
        size=opened.size,
        ctime_ns=opened.ctime_ns,
        namespace_inum=space.inum,
        dev=opened.mount.dev,
        root_dev=root.dev if root is not None else 0,
        magic=_magic(opened.mount),
        pid=opened.pid,
        uid=facts.uid if facts is not None else None,
        ancestors=ancestors,
        path=opened.path,
        mount_point=opened.mount.point,
        inner_path=opened.inner,
        cwd=facts.cwd if facts is not None else None,
        # The namespace's own: it was read through a process that is in no chroot, where there is one.
        root=b"/" if root is not None else space.prefix,
        parent_path=program_path(ancestors[0][0]) if ancestors and not bare else b"",
        cgroup=space.cgroup,
        filename=b"",
        loaded_by=b"",
        argv=known.argv if known is not None else (),
        opened=tuple(each.as_opened(is_interpreter=each is opened.interpreter) for each in opened.opened),
    )


def _ancestors(
    opened: ExecInProgress, facts: ProcessFacts | None, fork: Callable[[int, int], Fork | None]
) -> tuple[tuple[int, bytes], ...]:
    began = Fork(facts.parent, facts.start_ns) if facts is not None else fork(opened.pid, opened.time_ns)
    return process_ancestors(began.parent, began.time_ns, fork) if began is not None else ()


def _flags(opened: ExecInProgress, known: ProcessFacts | None) -> int:
    root = opened.space.root
    flags = opened.flags | Flag.UNSTOPPABLE | (Flag.SCRIPT if opened.scripts else 0)
    flags |= Flag.OVERLAY_ROOT if root is not None and root.fstype == b"overlay" else 0
    return flags | (Flag.ARGV_UNREADABLE if known is None else Flag.ARGV_CUT if known.argv_cut else 0)


def _magic(mount: Mount) -> int:
    if mount.is_remote:
        return FUSE_MAGIC
    return OVERLAY_MAGIC if mount.fstype == b"overlay" else 0
