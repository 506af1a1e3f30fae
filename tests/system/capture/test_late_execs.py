"""An exec that takes long, as on a busy node: each backend waits for it, and reports the process with its arguments."""

from __future__ import annotations

import contextlib
import select
import threading
import time
from typing import TYPE_CHECKING

import pytest

from sensor.capture.fanotify.exec_in_progress import PATIENCE
from sensor.capture.fanotify.group import OPEN_EXEC_PERM, Fanotify, Scope
from tests.system.capture.bed import BACKENDS, LOADER, Watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.container

PROGRAM = "/tmp/late"


@contextlib.contextmanager
def held(file: Path, seconds: float) -> Iterator[list[int]]:
    """Hold each exec that opens this file for so long; gives the processes that were."""
    seen: list[int] = []
    ended = threading.Event()

    def hold(group: Fanotify) -> None:
        while not ended.is_set():
            select.select([group], [], [], 0.1)
            for event in group.read():
                seen.append(event.pid)
                time.sleep(seconds)
                group.allow(event)

    with Fanotify(permission=True) as group:
        group.mark(OPEN_EXEC_PERM, Scope.INODE, path=str(file))
        holding = threading.Thread(target=hold, args=(group,))
        holding.start()
        try:
            yield seen
        finally:
            ended.set()
            holding.join()


def test_it_is_reported_with_its_arguments_by_every_backend(box: Watch) -> None:
    # Between the program, which is reported when it is opened, and its first instruction the kernel opens the loader.
    with held(box.box.root / str(LOADER).lstrip("/"), 3 * PATIENCE) as seen:
        events = box.run(f"cp /usr/bin/dynamic {PROGRAM}; {PROGRAM} 0.2", box.box.id)
    assert seen
    for backend in BACKENDS:
        argv = [event.process.argv for event in events[backend] if event.process.path == PROGRAM]
        assert argv == [[PROGRAM, "0.2"]], backend
