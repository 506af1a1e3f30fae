"""One child process: start it, check that it is ready, restart it, stop it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal a child gets when its parent dies."""
FIRST_RESTART_DELAY, MAX_RESTART_DELAY = 0.2, 10.0
STEADY_AFTER = 30.0
"""Seconds after which a program counts as healthy, so that its next restart is immediate."""


@dataclass(frozen=True)
class Program:
    """What to run. `phase` orders the stop: higher ones stop first, all of one phase together."""

    name: str
    argv: Sequence[str]
    phase: int
    env: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    ready: Callable[[], bool] | None = None
    final_codes: frozenset[int] = frozenset()
    """Exit codes after which it is not restarted; its log has the reason."""


class Child:
    """A program's process, restarted when it dies."""

    def __init__(self, program: Program, directory: Path) -> None:
        self.program = program
        self._log = directory / f"{program.name}.log"
        self._pid_file = directory / f"{program.name}.pid"
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._not_before = 0.0
        self._delay = FIRST_RESTART_DELAY

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches only the supervisor."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                list(self.program.argv),
                env={**os.environ, **self.program.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - the supervisor has one thread
            )
        self._pid_file.write_text(str(self._process.pid))
        self._started_at = time.monotonic()

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def keep_running(self) -> str | None:
        """Restart it if it has died and its delay is over. Returns a line to print if it did."""
        if self._process is None or self.is_running() or self._process.returncode in self.program.final_codes:
            return None
        now = time.monotonic()
        if not self._not_before:
            self._kill_group()
            steady = now - self._started_at > STEADY_AFTER
            self._delay = FIRST_RESTART_DELAY if steady else min(self._delay * 2, MAX_RESTART_DELAY)
            self._not_before = now + self._delay
        if now < self._not_before:
            return None
        code, self._not_before = self._process.returncode, 0.0
        self.start()
        return f"{self.program.name} exited with status {code} and was restarted (see {self._log})"

    def signal_stop(self) -> None:
        if self._process and self.is_running():
            self._process.send_signal(self.program.stop_signal)

    def wait_stopped(self, deadline: float) -> None:
        """Wait until it has exited; after the deadline (time.monotonic) kill it and its children."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._kill_group()
        self._pid_file.unlink(missing_ok=True)

    def _kill_group(self) -> None:
        """Kill the workers that a killed master left behind: they would keep serving beside the new ones."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def log_tail(self, lines: int = 5) -> str:
        """Return the last lines of its log, for an error message."""
        try:
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


def _end_with_parent() -> None:
    """Have the kernel stop this child when the supervisor dies, even by SIGKILL."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
