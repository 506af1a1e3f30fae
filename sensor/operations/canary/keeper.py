"""Runs the canary at the portal's interval, and recognises its event among those of the capture."""

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
from sensor.operations import subprocesses

MIN_INTERVAL_SECONDS: Final = 10.0
"""Between two canaries, whatever the portal sets: each costs a process."""
FIRST_WITHIN: Final = 30.0
"""The first canary runs within this many seconds: soon after it is switched on, but a fleet spreads out."""
READY_SECONDS: Final = 10.0
SETTLE_SECONDS: Final = 2.0
"""Between the container and its exec: a backend that watches filesystems needs a moment to find the new one."""
REMEMBERED: Final = 16
"""Containers whose events are still recognised; the capture returns them within seconds."""

log = logging.getLogger(__name__)

Adopt = Callable[[int, wire.Container], bool]
"""Registers a process's mount namespace as this container's; returns False where the capture sees no execs of it."""


class Canaries:
    """`set_interval` may be called from any thread, `is_canary` from the capture's, `step` from its own."""

    def __init__(self, directory: Path, adopt: Adopt, pause: Callable[[float], None]) -> None:
        """`directory` is created for each canary and holds its layers; `pause` waits, unless the sensor stops."""
        self._directory, self._adopt, self._pause = directory, adopt, pause
        self._ids: collections.deque[str] = collections.deque(maxlen=REMEMBERED)
        self._seconds: float | None = None
        self._due = 0.0

    def set_interval(self, seconds: float | None) -> None:
        """Set how often to run a canary; None: never. The same interval again changes nothing."""
        wanted = None if seconds is None else max(MIN_INTERVAL_SECONDS, seconds)
        if wanted != self._seconds:
            self._seconds = wanted
            self._due = time.monotonic() + random.uniform(0, min(FIRST_WITHIN, wanted or 0.0))  # noqa: S311 - spreads load

    def is_canary(self, event: wire.Event) -> bool:
        """Return whether the event is from a canary of this process; a workload cannot know its container's id."""
        return event.container.id in self._ids

    def step(self) -> None:
        """Run a canary if it is due, then wait a second."""
        if self._seconds is not None and time.monotonic() >= self._due:
            self._due = time.monotonic() + self._seconds
            try:
                self.run_canary()
            except (OSError, subprocess.SubprocessError) as error:
                log.warning("The proof of detection failed: %s", error)
        self._pause(1.0)

    def run_canary(self) -> None:
        """Run one canary to its end. Raises OSError where this node does not allow it."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(mode=0o700)
        command = subprocesses.command("sensor.operations.canary", str(self._directory))
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=subprocesses.environment(), stdin=pipe, stdout=pipe, stderr=pipe) as process:
            try:
                self._release(process)
            finally:
                process.kill()  # no effect on a process that has ended
                process.wait()
                shutil.rmtree(self._directory, ignore_errors=True)

    def _release(self, process: subprocess.Popen[bytes]) -> None:
        stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
        assert stdin is not None  # noqa: S101 - Popen was given pipes
        assert stdout is not None  # noqa: S101
        assert stderr is not None  # noqa: S101
        if not select.select([stdout], [], [], READY_SECONDS)[0] or stdout.readline() != b"ready\n":
            process.kill()
            raise OSError(stderr.read().decode(errors="replace").strip() or "its container was not created in time")
        container = wire.Container(secrets.token_hex(32), name="driftwatch-canary", runtime="driftwatch")
        self._ids.append(container.id)
        if not self._adopt(process.pid, container):
            raise OSError("this capture does not see execs of this node")
        self._pause(SETTLE_SECONDS)
        stdin.write(b"\n")
        stdin.flush()
        if process.wait(READY_SECONDS):
            raise OSError(f"it ended with {process.returncode}")
