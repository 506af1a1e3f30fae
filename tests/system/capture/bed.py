"""Containers of podman and pods side by side, watched by every capture backend at once."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from sensor.capture.ebpf import open_ebpf
from sensor.capture.fanotify.capture import open_fanotify
from tests.system.podman import BUSYBOX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

    from sensor.capture.base import Capture
    from sensor.container.base import Runtime
    from sensor.wire import Event
    from tests.system.node import Node
    from tests.system.podman import Podman

LOADER: Final = Path("/lib64/ld-linux-x86-64.so.2")
LIBC: Final = Path("/lib/x86_64-linux-gnu/libc.so.6")
SENTINEL: Final = "/tmp/busybox-sentinel"
PATIENCE: Final = 30.0
"""Seconds until an exec that never shows up fails the test."""
BACKENDS: Final = ("ebpf", "fanotify")


def note(
    request: pytest.FixtureRequest, line: str, runtime: str, backend: str, kinds: Sequence[str], hits: Sequence[bool]
) -> None:
    """Note what a backend must make of a line, and which of its runs were so, for docs/detection.md's table."""
    request.node.user_properties.append(("detection", [line, runtime, backend, list(kinds), sum(hits), len(hits)]))


class Collector:
    """Reads and commits continuously, as the agent does; keeps every event in order."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self._events: list[Event] = []
        self._news = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._collect)
        self._thread.start()

    def _collect(self) -> None:
        while not self._stopping:
            batch = self.capture.read(0.1)
            self.capture.commit()
            with self._news:
                self._events += batch
                self._news.notify_all()

    def until(self, container: str, last: Callable[[Event], bool]) -> list[Event]:
        """A container's events up to one, which is left out; those of it, and all before, are taken off."""
        with self._news:
            found = self._news.wait_for(lambda: any(map(last, self._events)), PATIENCE)
            assert found, f"the last exec was not seen; so far: {self._events}"
            end = next(index for index, event in enumerate(self._events) if last(event))
            taken, self._events = self._events[:end], self._events[end + 1 :]
        return [event for event in taken if event.container.id == container]

    def first(self, is_it: Callable[[Event], bool]) -> Event:
        """Wait for an event like this and return it; all stay."""
        with self._news:
            assert self._news.wait_for(lambda: any(map(is_it, self._events)), PATIENCE), "the exec was not seen"
            return next(filter(is_it, self._events))

    def by_last_argument(self, words: Sequence[str]) -> dict[str, Event]:
        """Wait for an exec with each of these last arguments, and return the first of each."""

        def found() -> dict[str, Event]:
            return {event.process.argv[-1]: event for event in reversed(self._events) if event.process.argv}

        with self._news:
            self._news.wait_for(lambda: set(words) <= set(found()), PATIENCE)
            missing = set(words) - set(found())
            assert not missing, f"not seen: {missing}"
            return {word: found()[word] for word in words}

    def events(self) -> list[Event]:
        """Return all that were seen and not taken off."""
        with self._news:
            return list(self._events)

    def until_that(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, looking after each read."""
        with self._news:
            assert self._news.wait_for(holds, PATIENCE)

    def close(self) -> None:
        self._stopping = True
        self._thread.join()
        self.capture.close()


def ends_with(word: str) -> Callable[[Event], bool]:
    """Whether it is the exec with this last argument."""
    return lambda event: event.process.argv[-1:] == [word]


def collectors(runtimes: Sequence[Runtime] | None = None) -> dict[str, Collector]:
    """Return a collector for each backend. Raises CaptureUnavailable."""
    return {"ebpf": Collector(open_ebpf(runtimes=runtimes)), "fanotify": Collector(open_fanotify(runtimes=runtimes))}


class Box(Protocol):
    """A running container of any runtime."""

    id: str
    name: str
    root: Path
    """Its root directory, as it can be reached from here."""

    def shell(self, script: str) -> None:
        """Run a script in it, whatever its exit status."""
        ...

    def put(self, source: Path, destination: str) -> None:
        """Copy a file of the host into it."""
        ...


class PodmanBox:
    def __init__(self, podman: Podman, name: str) -> None:
        self._podman = podman
        self.name = name
        self.id = podman.id(name)
        self.root = Path(f"/proc/{podman.pid(name)}/root")

    def shell(self, script: str) -> None:
        self._podman.shell(self.name, script, check=False)

    def put(self, source: Path, destination: str) -> None:
        self._podman.cp(source, self.name, destination)


class PodBox:
    """A container of a pod; files are put into it from the node, as an intruder there would do."""

    def __init__(self, node: Node, container_id: str, name: str) -> None:
        self._node = node
        self.id = container_id
        self.name = name
        self.root = Path(f"/proc/{node.pid(container_id)}/root")

    def shell(self, script: str) -> None:
        self._node.shell(self.id, script)

    def put(self, source: Path, destination: str) -> None:
        shutil.copy2(source, self.root / destination.lstrip("/"))


class Watch:
    """One container and the drift that each backend sees in it. A script runs once, for all of them."""

    numbers = itertools.count()

    def __init__(self, box: Box, seen_by: dict[str, Collector], altered: Path) -> None:
        self.box = box
        self._seen_by = seen_by
        self._known: dict[str, dict[str, list[Event]]] = {}
        box.put(altered, SENTINEL)

    def drift(self, script: str, backend: str) -> list[Event]:
        """Run a shell script in the container; returns the drift that it caused, in order."""
        if script not in self._known:
            self._known[script] = self.run(script, self.box.id)
        return self._known[script][backend]

    def run(self, script: str, container: str) -> dict[str, list[Event]]:
        """Run a shell script and the sentinel, which ends once every backend has seen it; a container's events of each.

        The fallback knows the sentinel by its arguments, and has to find it alive, however late it comes.
        """
        fifo = f"/tmp/fifo{next(self.numbers)}"
        os.mkfifo(self.box.root / fifo[1:])
        running = threading.Thread(target=self.box.shell, args=(f"{script}\n{SENTINEL} head -n1 {fifo}",))
        with (self.box.root / fifo[1:]).open("r+b", buffering=0) as end:
            running.start()
            try:
                return {name: seen.until(container, ends_with(fifo)) for name, seen in self._seen_by.items()}
            finally:
                end.write(b"\n")
                running.join()

    def only(self, script: str, backend: str) -> Event:
        """The one drift event that a script causes."""
        events = self.drift(script, backend)
        assert len(events) == 1, [(event.kind, event.process.path) for event in events]
        return events[0]


def altered_busybox(directory: Path) -> Path:
    """Return a busybox with different content: a program that is in no image."""
    path = directory / "busybox-altered"
    if not path.exists():
        path.write_bytes(BUSYBOX.read_bytes() + b"\0")
        path.chmod(0o755)
    return path


def app_files(runner: Path) -> dict[str, str | Path]:
    """Return the files of the test image besides busybox."""
    return {
        "/opt/entry.sh": "#!/bin/sh\nexit 0\n",
        "/opt/outer.sh": "#!/opt/middle.sh\n",
        "/opt/middle.sh": "#!/bin/sh\nexit 0\n",
        "/usr/bin/tool": "-> ../../bin/busybox",
        "/usr/bin/run": runner,
        "/usr/bin/victim": runner,
        "/lib64/ld-linux-x86-64.so.2": LOADER,
        "/lib/x86_64-linux-gnu/libc.so.6": LIBC,
        "/usr/bin/dynamic": Path("/usr/bin/sleep"),
    }
