"""The fallback while execs come faster than they can be looked at."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest

from sensor.capture.fanotify import capture
from sensor.capture.fanotify.capture import FanotifyCapture
from sensor.capture.fanotify.group import OPEN_EXEC, OpenEvent
from sensor.capture.fanotify.namespaces import NamespaceAt
from sensor.capture.fanotify.process_log import CoveredExec
from sensor.capture.fanotify.procfs import ProcessFacts
from sensor.files.hashing import Hasher
from sensor.judgement.gather import FactGatherer

if TYPE_CHECKING:
    from collections.abc import Iterator

FLOOD: Final = 1_000
"""Reads after which the flood ends, so that a test fails that would go on for ever."""
GONE: Final = 1 << 30


class Group:
    """Has another file at each read but the first: the queue was empty for a moment."""

    def __init__(self) -> None:
        self._fd = os.eventfd(1)
        self.reads = 0

    def fileno(self) -> int:
        return self._fd

    def read(self) -> list[OpenEvent]:
        self.reads += 1
        if self.reads == 1 or self.reads > FLOOD:
            return []
        return [OpenEvent(OPEN_EXEC, os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), os.getpid())]

    def close(self) -> None:
        os.close(self._fd)


class HostAlone:
    """Namespaces of a node without containers."""

    def __init__(self, *_: object) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return lambda *_: True if name == "is_host" else None


class Log:
    """A process connector that reports two execs on a watched mount, one by one, of processes that are gone."""

    failed = None

    def __init__(self, *_: object) -> None:
        self._covered = [
            CoveredExec(ProcessFacts(pid, 0, 1, 0, (1, 1), (b"a",), False, b"/", b"/", b"/a"), NamespaceAt(5, 0.0))
            for pid in (GONE, GONE + 1)
        ]

    def covered(self) -> list[CoveredExec]:
        reported, self._covered = self._covered[:1], self._covered[1:]
        return reported

    def programs(self) -> list[object]:
        return []

    def ended(self) -> list[object]:
        return []

    def unknown(self) -> list[int]:
        return []

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def flooded(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FanotifyCapture, Group]]:
    group = Group()
    monkeypatch.setattr(capture, "Fanotify", lambda: group)
    monkeypatch.setattr(capture, "Namespaces", HostAlone)
    monkeypatch.setattr(capture, "ProcessLog", Log)
    found = FanotifyCapture([], FactGatherer(Hasher()), 0)
    yield found, group
    found.close()


def test_a_flood_of_execs_does_not_keep_it_from_those_in_progress(flooded: tuple[FanotifyCapture, Group]) -> None:
    found, group = flooded
    assert found.read(0.0) == []
    assert group.reads < FLOOD


def test_what_the_connector_reported_is_looked_at_once_the_flood_is_over(
    flooded: tuple[FanotifyCapture, Group], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, group = flooded
    looked_at: list[int] = []

    def noted(pid: int, _: tuple[int, int]) -> None:
        assert group.reads > FLOOD
        looked_at.append(pid)

    monkeypatch.setattr(capture, "open_program", noted)
    for _ in range(FLOOD):
        found.read(0.0)
    assert looked_at == [GONE, GONE + 1]
