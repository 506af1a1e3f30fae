"""Descriptors that are opened for a process that the connector reported."""

from __future__ import annotations

import errno
import os
from typing import NoReturn

import pytest

from sensor.capture.fanotify import process_log
from sensor.capture.fanotify.procfs import running_file


def test_the_program_stays_open_as_long_as_it_is_the_same() -> None:
    exe = running_file(os.getpid())
    assert exe is not None
    handle = process_log.open_program(os.getpid(), exe)
    assert handle is not None
    os.close(handle)
    assert process_log.open_program(os.getpid(), (0, 0)) is None


def test_a_filesystem_that_refuses_stat_stops_nothing_and_leaks_no_descriptor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FUSE refuses it to all but the user who mounted it; a process may run something there a moment later."""
    tried: list[int] = []

    def refused(handle: int) -> NoReturn:
        tried.append(handle)
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(process_log, "file_status", refused)
    assert process_log.open_program(os.getpid(), (1, 2)) is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(tried[0])
