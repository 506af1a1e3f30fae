"""What is kept of a process that the connector reported, and the descriptors that are opened for it."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, NoReturn, cast

import pytest

from sensor.capture.fanotify import process_log
from sensor.capture.fanotify.connector import ProcessEvent
from sensor.capture.fanotify.procfs import ProcessFacts, running_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor.capture.fanotify.namespaces import Namespaces


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


def test_a_process_with_the_pid_and_program_of_an_earlier_one_has_none_of_its_facts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handlers: list[Callable[[ProcessEvent], None]] = []
    monkeypatch.setattr(process_log, "Connector", handlers.append)
    monkeypatch.setattr(process_log, "mount_namespace", lambda _pid: 5)
    monkeypatch.setattr(process_log, "open_program", lambda _pid, _exe: None)
    facts = ProcessFacts(7, 100, 4, 0, (1, 2), (b"first",), argv_cut=False, cwd=b"/", root=b"/", link=b"/x")
    monkeypatch.setattr(process_log, "process_facts", lambda _pid: facts)
    spaces = cast("Namespaces", SimpleNamespace(host_inum=1, knows=lambda _inum: True))
    log = process_log.ProcessLog(spaces, lambda: None)

    handlers[0](ProcessEvent("fork", 7, 1_000, parent=4))
    handlers[0](ProcessEvent("exec", 7, 1_001))
    assert log.facts(7, (1, 2)) == facts
    handlers[0](ProcessEvent("fork", 7, 2_000, parent=5))
    assert log.facts(7, (1, 2)) is None
    assert log.parent_pid(7) == 5
