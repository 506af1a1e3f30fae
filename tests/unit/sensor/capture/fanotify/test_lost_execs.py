"""What the fallback counts of execs that it can't judge: each once, wherever its program lies."""

from __future__ import annotations

import collections
import os
from typing import TYPE_CHECKING, Final

import pytest

from sensor.capture.fanotify import capture
from sensor.capture.fanotify.capture import FanotifyCapture
from sensor.capture.fanotify.namespaces import NamespaceAt
from sensor.capture.fanotify.process_log import UnmarkedProgram
from sensor.capture.fanotify.procfs import ProcessFacts
from sensor.container.mounts import host_dev
from sensor.files.hashing import Hasher
from sensor.judgement.gather import FactGatherer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sensor.capture.fanotify.group import OpenEvent
    from sensor.capture.fanotify.process_log import EndedExec

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


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Group:
    found = Group()
    monkeypatch.setattr(capture, "Fanotify", lambda: found)
    return found


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    found = Log()
    monkeypatch.setattr(capture, "ProcessLog", lambda *_: found)
    return found


@pytest.fixture
def fallback(group: Group, log: Log) -> Iterator[FanotifyCapture]:
    assert (group, log)
    found = FanotifyCapture([], FactGatherer(Hasher()), host_dev())
    yield found
    found.close()


def lost(fallback: FanotifyCapture) -> dict[str, int]:
    """Return what was lost once all that waits was looked at."""
    for _ in range(3):
        fallback.read(0.0)
    return fallback.counters().lost


@pytest.mark.parametrize(("is_nodes", "counted"), [(False, {"process_gone": 1}), (True, {})])
def test_a_program_on_the_node_s_filesystem_is_a_container_s_unless_its_root_was_the_node_s(
    fallback: FanotifyCapture, log: Log, counted: dict[str, int], *, is_nodes: bool
) -> None:
    """As one in a directory that a pod has from the node, and a service's in a mount namespace of its own."""
    exe = host_dev(), 7
    facts = ProcessFacts(GONE, 100, 1, 0, exe, (b"x",), argv_cut=False, cwd=b"/", root=b"/", link=b"/x")
    where = NamespaceAt(GONE, 0.0, is_nodes)
    log.waiting.append(UnmarkedProgram(facts, os.open("/", os.O_PATH | os.O_CLOEXEC), 0, where))
    assert lost(fallback) == counted
