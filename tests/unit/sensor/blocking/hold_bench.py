"""A hold server with one container, and a fanotify group and tables that record the calls."""

from __future__ import annotations

import mmap
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from sensor.blocking.block_plan import MAPPED
from sensor.blocking.hold_messages import ExpectContainer, FollowPolicy, ForgetContainer, WatchContainer, encoded_line
from sensor.blocking.hold_server import HoldServer
from sensor.capture.block_tables import ANY_SCRIPT_INO, ExecMark, ExecMarks
from sensor.capture.fanotify.group import OPEN_EXEC_PERM, OpenEvent, Scope
from sensor.policy import normalise
from sensor.wire import Container
from tests.unit.sensor.file_states import FakeWriteRecords
from tests.unit.sensor.policy.test_document import document_of, minimal_rule

PATIENCE = 30.0


class Spy:
    """Stands in for both: `calls` are the recorded calls, in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.lease = 3.0
        self.records = FakeWriteRecords()
        self._news = threading.Condition()

    def _record(self, *what: Any) -> None:
        with self._news:
            self.calls.append(what)
            self._news.notify_all()

    def await_allowed(self, number: int = 1) -> list[tuple[Any, ...]]:
        return self.await_calls(("allow",), number)

    def await_calls(self, call: tuple[Any, ...], number: int) -> list[tuple[Any, ...]]:
        """Wait for so many of a call; returns all others."""
        with self._news:
            assert self._news.wait_for(lambda: self.calls.count(call) >= number, PATIENCE), self.calls
            return [each for each in self.calls if each != call]

    def allow(self, event: OpenEvent) -> None:
        event.close()
        self._record("allow")

    def deny(self, event: OpenEvent) -> None:
        event.close()
        self._record("deny")

    def ignore(self, mask: int, fd: int) -> None:
        self._record("ignore", mask, os.fstat(fd).st_size)

    def watch_while_ignored(self, mask: int, fd: int) -> None:
        self._record("watch", mask, os.fstat(fd).st_ino)

    def stop_ignoring(self, mask: int, fd: int) -> None:
        self._record("stop_ignoring", mask, os.fstat(fd).st_ino)

    def mark(self, first: int, second: Any, *rest: Any, fd: int | None = None) -> None:
        given = (_only_mark(each) if isinstance(each, ExecMarks) else each for each in rest if each is not None)
        self._record("mark", first, second, *given, *_whose(fd))

    def unmark(self, first: int, second: Any, *rest: Any, fd: int | None = None) -> None:
        self._record("unmark", first, second, *rest, *_whose(fd))

    def flush(self, scope: Scope) -> None:
        self._record("flush", scope)

    def write_records(self) -> FakeWriteRecords:
        return self.records

    def close(self) -> None:
        self._record("close")

    def seconds_left(self) -> float:
        return self.lease


def _only_mark(marks: ExecMarks) -> ExecMark | ExecMarks | None:
    """Return the mark where there is one for all cases."""
    return next(iter(marks.all)) if len(marks.all) == 1 else marks


def _whose(fd: int | None) -> list[str]:
    """Return the path of a marked filesystem."""
    return [] if fd is None else [str(Path(f"/proc/self/fd/{fd}").readlink())]


class Bench:
    """A hold server with one container: its root is this machine's, its image a directory with the same paths."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.lower = directory, directory / "lower"
        self.lower.mkdir(exist_ok=True)
        self.spy = Spy()
        self.orders, theirs = socket.socketpair()
        self.server = HoldServer(self.spy, self.spy, theirs, mmap.mmap(-1, mmap.PAGESIZE))  # type: ignore[arg-type]
        self.server.start()
        self._theirs = theirs
        self.watch()

    def watch(self, *, denies_new: bool = False, kinds: int = MAPPED) -> None:
        container = Container(id="c" * 64, name="app", image_name="app:1")
        point, lowers = bytes(self.directory), [bytes(self.lower)]
        self.send(WatchContainer(self.dev, point, lowers, b"/upper", container, (kinds,) * 3, denies_new))

    @property
    def dev(self) -> int:
        return self.directory.stat().st_dev

    def send(self, message: WatchContainer | FollowPolicy | ExpectContainer | ForgetContainer) -> None:
        self.orders.sendall(encoded_line(message))
        assert self.server._read_messages()
        self.server._messages.join()

    def follow(self, **rule: Any) -> None:
        document = normalise(document_of(minimal_rule(action="block", **rule)))
        self.send(FollowPolicy(document, "azure", "1", "prod"))

    def file(self, name: str, content: bytes, image: bytes | None = None) -> Path:
        path = self.directory / "box" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        if image is not None:
            original = self.lower / str(path).lstrip("/")
            original.parent.mkdir(parents=True, exist_ok=True)
            original.write_bytes(image)
        return path

    def image_file(self, name: str) -> Path:
        """Return a file that is the image's very own, as overlay shows what is in no upper layer."""
        path = self.file(name, b"good", image=b"good")
        path.unlink()
        os.link(self.lower / str(path).lstrip("/"), path)
        return path

    def open(self, path: Path, thread: int = 0) -> None:
        self.server._take(OpenEvent(OPEN_EXEC_PERM, os.open(path, os.O_RDONLY), thread or os.getpid()))

    def hang(self, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
        """Make each inspection of this container's files last until the event is set."""
        hanging = threading.Event()
        monkeypatch.setattr(
            self.server._watched[self.dev].checker, "is_image_file", lambda *_: hanging.wait(PATIENCE) or True
        )
        return hanging

    def close(self) -> None:
        self.orders.close()
        self._theirs.close()


def marked(bench: Bench) -> list[ExecMark]:
    """Return the calls about execs, without those about filesystems."""
    return [each[3] for each in bench.spy.calls if each[:2] == ("mark", os.getpid()) and each[2] != ANY_SCRIPT_INO]
