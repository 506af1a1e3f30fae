"""The kernel program's record of writers, read from user space: `bpf/writes.h`."""

from __future__ import annotations

import fcntl
import threading
from typing import TYPE_CHECKING

from sensor.record import FILE_STATE, file_state

if TYPE_CHECKING:
    from sensor.capture.libbpf import Libbpf
    from sensor.file_state import FileState


class KernelWriteRecords:
    """See `sensor.file_state.WriteRecords`. Threads may share it."""

    def __init__(self, libbpf: Libbpf, observed: int) -> None:
        self._libbpf, self._observed = libbpf, observed

    def look(self, fd: int) -> FileState | None:
        """Return the state of a file that is open for reading; None where nothing is known of it."""
        thread = threading.get_native_id().to_bytes(4, "little")
        # What is there is of an earlier look: some filesystems' servers see to locks themselves.
        self._libbpf.delete(self._observed, thread)
        # Has no effect but that the kernel program sees this file: nothing is locked.
        fcntl.flock(fd, fcntl.LOCK_UN)
        found = self._libbpf.find(self._observed, thread, FILE_STATE.size)
        return None if found is None else file_state(found, 0)
