"""Records appended to a file of SIEM_DIRECTORY, for a collector that reads it there."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from django.conf import settings

from drift.siem.errors import ForwardingFailed
from drift.siem.models import SiemDestination

MODE: Final = 0o640
"""The worker's group may read: its collector."""
BLOCK: Final = 65_536


class RecordFile:
    """Appends batches. The file is opened for each, so that it may be renamed in between, as logrotate does."""

    def __init__(self, destination: SiemDestination) -> None:
        if not settings.SIEM_DIRECTORY:
            raise ForwardingFailed("SIEM_DIRECTORY is not set for the worker.")
        # A destination's name of a file has no slash (forms.destination); this holds it to that.
        self._path = Path(settings.SIEM_DIRECTORY) / Path(destination.file_name).name

    def deliver(self, lines: bytes) -> None:
        """Append a batch, on the disk when this returns. Raises ForwardingFailed: part of it may be in the file."""
        try:
            self._append(lines)
        except OSError as error:
            raise ForwardingFailed(f"The file cannot be written: {(error.strerror or 'error').lower()}.") from None

    def close(self) -> None:
        """Nothing is left open between batches."""

    def _append(self, lines: bytes) -> None:
        # Not through a link: the directory may be one that others write in.
        opened = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
        with os.fdopen(opened, "r+b", buffering=0) as file:
            # A worker that was slow enough to lose its claim must not write between another's lines.
            fcntl.flock(file, fcntl.LOCK_EX)
            end = _end_of_last_line(opened)
            if end < os.fstat(opened).st_size:
                # A sender died, or the disk was full, in the middle of a line: its record is sent again.
                os.ftruncate(opened, end)
            written = 0
            while written < len(lines):
                written += os.write(opened, lines[written:])
            os.fsync(opened)


def _end_of_last_line(opened: int) -> int:
    """Return the position behind the last line break, 0 where there is none."""
    position = os.fstat(opened).st_size
    while position:
        start = max(0, position - BLOCK)
        found = os.pread(opened, position - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0
