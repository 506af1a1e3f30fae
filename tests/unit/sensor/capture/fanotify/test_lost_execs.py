"""What the fallback counts of execs that it can't judge: each once, wherever its program lies."""

from __future__ import annotations

import collections
import errno
import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

import pytest

from sensor.capture.fanotify import capture
from sensor.capture.fanotify.capture import FanotifyCapture
from sensor.capture.fanotify.group import OPEN_EXEC, OpenEvent
from sensor.capture.fanotify.namespaces import NamespaceAt, Namespaces
from sensor.capture.fanotify.process_log import EndedExec, UnmarkedProgram
from sensor.capture.fanotify.procfs import ProcessFacts
from sensor.container.mounts import host_dev
from sensor.files.handles import file_status
from sensor.files.hashing import Hasher
from sensor.judgement.gather import FactGatherer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GONE: Final = 1 << 30
"""The pid of a process that has ended."""


class Group:
    """Reports these files."""

    def __init__(self) -> None:
        self._fd = os.eventfd(1)
        self.waiting: list[OpenEvent] = []
        self.lost: collections.Counter[str] = collections.Counter()

    def fileno(self) -> int:
        return self._fd

    def mark(self, *_: object, **__: object) -> None:
        pass

    def read(self) -> list[OpenEvent]:
        taken, self.waiting = self.waiting, []
        return taken

    def close(self) -> None:
        os.close(self._fd)


class Log:
    """A process connector that has reported these."""

    failed = None
    execs = lost = 0

    def __init__(self) -> None:
        self.waiting: list[UnmarkedProgram] = []
        self.ended_ones: list[EndedExec] = []

    def programs(self) -> list[UnmarkedProgram]:
        taken, self.waiting = self.waiting, []
        return taken

    def ended(self) -> list[EndedExec]:
        taken, self.ended_ones = self.ended_ones, []
        return taken

    def covered(self) -> list[object]:
        return []

    def unknown(self) -> list[int]:
        return []

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass


class Fallback(NamedTuple):
    """The fallback, and what it is told."""

    capture: FanotifyCapture
    group: Group
    log: Log

    def lost(self) -> dict[str, int]:
        """Return what was lost once all that waits was looked at."""
        for _ in range(3):
            self.capture.read(0.0)
        return self.capture.counters().lost


@pytest.fixture
def fallback(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fallback]:
    group, log = Group(), Log()
    monkeypatch.setattr(capture, "Fanotify", lambda: group)
    monkeypatch.setattr(capture, "ProcessLog", lambda *_: log)
    found = FanotifyCapture([], FactGatherer(Hasher()), host_dev())
    yield Fallback(found, group, log)
    found.close()


@pytest.mark.parametrize(("is_nodes", "counted"), [(False, {"process_gone": 1}), (True, {})])
def test_a_program_on_the_node_s_filesystem_is_a_container_s_unless_its_root_was_the_node_s(
    fallback: Fallback, counted: dict[str, int], *, is_nodes: bool
) -> None:
    """As one in a directory that a pod has from the node, and a service's in a mount namespace of its own."""
    exe = host_dev(), 7
    facts = ProcessFacts(GONE, 100, 1, 0, exe, (b"x",), argv_cut=False, cwd=b"/", root=b"/", link=b"/x")
    where = NamespaceAt(GONE, 0.0, is_nodes)
    fallback.log.waiting.append(UnmarkedProgram(facts, os.open("/", os.O_PATH | os.O_CLOEXEC), 0, where))
    assert fallback.lost() == counted


def report(fallback: Fallback, file: Path, *, has_facts: bool) -> None:
    """Report the exec of a file by fanotify and by the process connector, with the facts if they were still there."""
    status = file_status(str(file))
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    exe = status.dev, status.ino
    facts = ProcessFacts(GONE, now, 1, 0, exe, (b"x",), argv_cut=False, cwd=b"/", root=b"/", link=b"/x")
    where = NamespaceAt(GONE, 0.0)
    fallback.log.ended_ones.append(EndedExec(GONE, now, 0, where, facts if has_facts else None))
    fallback.group.waiting.append(OpenEvent(OPEN_EXEC, os.open(file, os.O_RDONLY | os.O_CLOEXEC), GONE))


@pytest.mark.parametrize("has_facts", [True, False])
def test_a_program_whose_container_was_gone_is_counted_once(
    fallback: Fallback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, has_facts: bool
) -> None:
    monkeypatch.setattr(Namespaces, "is_host", lambda *_: False)
    report(fallback, tmp_path, has_facts=has_facts)
    assert fallback.lost() == {"container_gone": 1}


def test_a_program_that_can_t_be_read_is_counted_once(
    fallback: Fallback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing tells what it was, neither here nor the process connector."""

    def refused(_: int) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Namespaces, "is_host", lambda *_: False)
    monkeypatch.setattr(capture, "file_status", refused)
    report(fallback, tmp_path, has_facts=False)
    assert fallback.lost() == {"unreadable": 1}
