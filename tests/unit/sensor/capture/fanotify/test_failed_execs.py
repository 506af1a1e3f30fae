"""What a process runs after an exec that failed in between: before its program's loader was opened."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sensor.capture.errors import CaptureUnavailable
from sensor.capture.fanotify import capture
from sensor.capture.fanotify.capture import FanotifyCapture
from sensor.capture.fanotify.file_roles import FileShape
from sensor.capture.fanotify.group import OPEN_EXEC, OpenEvent
from sensor.capture.fanotify.namespaces import Namespace
from sensor.container.mounts import Mount
from sensor.files.hashing import Hasher
from sensor.judgement.gather import FactGatherer

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from sensor.record import Record

GONE = 1 << 30


class Group:
    """Files that wait to be read."""

    def __init__(self) -> None:
        self._fd = os.eventfd(1)
        self.waiting: list[Path] = []

    def fileno(self) -> int:
        return self._fd

    def read(self) -> list[OpenEvent]:
        files, self.waiting = self.waiting, []
        return [OpenEvent(OPEN_EXEC, os.open(file, os.O_RDONLY | os.O_CLOEXEC), GONE) for file in files]

    def close(self) -> None:
        os.close(self._fd)


class OneContainer:
    """Namespaces of a node on which every mount is one container's."""

    def __init__(self, *_: object) -> None:
        mount = Mount(7, 1, b"/", b"/", b"overlay", b"")
        self._space = Namespace(1, 4_000, GONE, root=mount)

    def find_for(self, *_: object) -> tuple[Namespace, Mount | None]:
        return self._space, self._space.root

    def learn(self, _: int) -> Namespace:
        return self._space

    def __getattr__(self, _: str) -> Any:
        return lambda *_: None


class Examiner:
    """Keeps the names of what it is given."""

    def __init__(self) -> None:
        self.examined: list[bytes] = []

    def examine(self, record: Record, *_: object) -> None:
        self.examined.append(os.path.basename(record.path))  # noqa: PTH119 - bytes

    def resolve(self, _: Record) -> None:
        return None


def unavailable(*_: object) -> None:
    raise CaptureUnavailable("")


def test_a_program_that_looks_like_the_loader_of_one_that_failed_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, examiner, shapes = Group(), Examiner(), dict[int, FileShape]()
    monkeypatch.setattr(capture, "Fanotify", lambda: group)
    monkeypatch.setattr(capture, "Namespaces", OneContainer)
    monkeypatch.setattr(capture, "ProcessLog", unavailable)
    monkeypatch.setattr(capture, "Examiner", lambda *_: examiner)
    monkeypatch.setattr(capture, "file_shape", lambda fd: shapes[os.fstat(fd).st_ino])
    found = FanotifyCapture([], FactGatherer(Hasher()), 0)
    try:
        for name, shape in (("failed", FileShape.DYNAMIC), ("ran", FileShape.STATIC)):
            (tmp_path / name).touch()
            shapes[(tmp_path / name).stat().st_ino] = shape
            group.waiting = [tmp_path / name]
            found.read(0.0)
            found.detach()  # what waits has had its time
            found.read(0.0)
    finally:
        found.close()
    assert examiner.examined == [b"failed", b"ran"]
