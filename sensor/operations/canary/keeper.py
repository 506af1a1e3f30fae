"""Runs the canary as often as the portal asks, and knows its event again when the capture brings it."""

from __future__ import annotations

import collections
import logging
import random
import secrets
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sensor import wire
from sensor.operations import subprocesses as children

SHORTEST: Final = 10.0
"""Seconds between two canaries, whatever the portal asks: each costs a process."""
FIRST_WITHIN: Final = 30.0
"""The first canary flies within so many seconds, so that what was switched on shows soon; a fleet spreads out."""
READY_SECONDS: Final = 10.0
SETTLE_SECONDS: Final = 2.0
"""Between the container and its exec: a backend that watches filesystems needs a moment to find a new one."""
REMEMBERED: Final = 16

log = logging.getLogger(__name__)

Adopt = Callable[[int, wire.Container], bool]
"""Takes a process and the container that its mount namespace is; False where the capture sees no exec of it."""


class Canaries:
    """`every` may be called from any thread, `claims` from the capture's, `step` from one of its own."""

    def __init__(self, folder: Path, adopt: Adopt, pause: Callable[[float], None]) -> None:
        """`folder` is made for each, and holds the container's layers; `pause` waits, unless the sensor stops."""
        self._folder, self._adopt, self._pause = folder, adopt, pause
        self._ids: collections.deque[str] = collections.deque(maxlen=REMEMBERED)
        self._seconds: float | None = None
        self._due = 0.0

    def every(self, seconds: float | None) -> None:
        """How often the portal asks for one; None: it does not."""
        wanted = None if seconds is None else max(SHORTEST, seconds)
        if wanted != self._seconds:
            self._seconds = wanted
            self._due = time.monotonic() + random.uniform(0, min(FIRST_WITHIN, wanted or 0.0))  # noqa: S311 - spreads load

    def claims(self, event: wire.Event) -> bool:
        """Whether it is of a canary that this process let fly. Nobody else can know the id of its container."""
        return event.container.id in self._ids

    def step(self) -> None:
        """Let one fly if it is due, then wait a little."""
        if self._seconds is not None and time.monotonic() >= self._due:
            self._due = time.monotonic() + self._seconds
            try:
                self.fly()
            except (OSError, subprocess.SubprocessError) as error:
                log.warning("The proof of detection failed: %s", error)
        self._pause(1.0)

    def fly(self) -> None:
        """Run one canary to its end. Raises OSError where it can't be run here."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700)
        command = children.command("sensor.operations.canary", str(self._folder))
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=children.environment(), stdin=pipe, stdout=pipe, stderr=pipe) as process:
            try:
                self._release(process)
            finally:
                process.kill()  # does nothing to one that has ended
                process.wait()
                shutil.rmtree(self._folder, ignore_errors=True)

    def _release(self, process: subprocess.Popen[bytes]) -> None:
        stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
        assert stdin is not None  # noqa: S101 - all three are pipes, as we asked
        assert stdout is not None  # noqa: S101
        assert stderr is not None  # noqa: S101
        if not select.select([stdout], [], [], READY_SECONDS)[0] or stdout.readline() != b"ready\n":
            process.kill()
            raise OSError(stderr.read().decode(errors="replace").strip() or "its container was not made in time")
        container = wire.Container(secrets.token_hex(32), name="driftwatch-canary", runtime="driftwatch")
        self._ids.append(container.id)
        if not self._adopt(process.pid, container):
            raise OSError("this capture sees nothing of this node")
        self._pause(SETTLE_SECONDS)
        stdin.write(b"\n")
        stdin.flush()
        if process.wait(READY_SECONDS):
            raise OSError(f"it ended with {process.returncode}")
