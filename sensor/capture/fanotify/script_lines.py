"""What the first lines of `#!` scripts name, as the kernel reads them (fs/binfmt_script.c)."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

from sensor.files.deadline import in_time
from sensor.files.handles import file_status, look_up, open_directory

if TYPE_CHECKING:
    from sensor.capture.fanotify.exec_in_progress import ExecInProgress

MAX_CHAIN: Final = 5
"""Scripts that interpret one another in one exec: more the kernel does not run (fs/exec.c)."""
MAX_HEAD: Final = 256
"""Of a script's first line the kernel reads no more (BINPRM_BUF_SIZE)."""
_NAME: Final = re.compile(rb"[ \t]*([^ \t\0]+)([ \t]+[^ \t])?")


class Interpreters(NamedTuple):
    """What a script's first line names, by device and inode, and what that names in turn up to a program.

    `files` are none where nothing can run it. The kernel puts so many `words` before the script's own name into the
    arguments.
    """

    files: tuple[tuple[int, int], ...]
    words: int


NOTHING: Final = Interpreters((), 0)


def script_interpreters(script: ExecInProgress) -> Interpreters | None:
    """Return what runs a script, as its container shows it now.

    None where that can't be known: its line was rewritten since, or names a file by the process's working directory;
    its container is gone, or a filesystem does not answer.
    """
    try:
        head = os.pread(script.file.fd, MAX_HEAD, 0) if script.file is not None else b""
        with open_directory(f"/proc/{script.space.pid}/root") as root:
            return _interpreters(root, head, script.space.payer) if head.startswith(b"#!") else None
    except OSError:
        return None


def _interpreters(root: int, head: bytes, payer: str) -> Interpreters | None:
    """Raises OSError."""
    files: list[tuple[int, int]] = []
    words = 0
    while head.startswith(b"#!") and len(files) < MAX_CHAIN:
        line = first_line(head)
        if line is None:
            return NOTHING
        name, has_argument = line
        if not name.startswith(b"/"):
            return None
        try:
            file, head = _look_into(root, name, payer)
        except (FileNotFoundError, NotADirectoryError):
            return NOTHING
        files.append(file)
        words += 1 + has_argument
    return Interpreters(tuple(files), words) if head.startswith(b"\x7fELF") else NOTHING


def first_line(head: bytes) -> tuple[bytes, bool] | None:
    """Return the interpreter's name from a script's first bytes, and whether it gets an argument; None of no name."""
    line, newline, _ = head[2:].partition(b"\n")
    if not newline:
        # The kernel's buffer ends in zeros. A name that fills it may be cut off, and is refused.
        line = line.ljust(MAX_HEAD - 2, b"\0")
    found = _NAME.match(line.rstrip(b" \t"))
    if found is None or (not newline and found.end(1) == len(line)):
        return None
    return found[1], found[2] is not None


def _look_into(root: int, name: bytes, payer: str) -> tuple[tuple[int, int], bytes]:
    """Return device and inode of a file, and its first bytes: none of what is not executable. Raises OSError."""
    handle = in_time(lambda: look_up(root, name), os.close, payer=payer)
    try:
        status = file_status(handle)
        is_executable = stat.S_ISREG(status.mode) and status.mode & 0o111
        head = in_time(lambda: _head(handle), payer=payer) if is_executable else b""
        return (status.dev, status.ino), head
    finally:
        os.close(handle)


def _head(handle: int) -> bytes:
    fd = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(fd, MAX_HEAD, 0)
    finally:
        os.close(fd)
