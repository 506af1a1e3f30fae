"""Starts programs, keeps them running, and stops them in order."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from types import FrameType

from portal.embedded.errors import EmbeddedError
from portal.serve.programs import Child, Program

TICK = 0.1
STOP_SECONDS = 15.0
"""For all phases together; a clean stop takes at most 20 s."""


class Interrupted(Exception):
    """A signal requests the end of the run."""


class Supervisor:
    """Owns the children. `print_line` prints one line to the terminal."""

    def __init__(self, logs: Path, print_line: Callable[[str], None]) -> None:
        self._logs = logs
        self._print_line = print_line
        self._children: list[Child] = []
        self._stopping = False
        self._watches_make = _make_catches_interrupts() is True
        logs.mkdir(parents=True, exist_ok=True)

    def catch_signals(self) -> None:
        """Make SIGINT, SIGTERM and SIGHUP stop all programs in order."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self._stopping:
            raise Interrupted

    def start(self, program: Program) -> Child:
        """Start one program; it is restarted from now on whenever it dies."""
        child = Child(program, self._logs)
        child.start()
        self._children.append(child)
        return child

    def wait_ready(self, children: Iterable[Child], timeout: float = 60) -> None:
        """Wait until every child with a readiness check is ready. Raises EmbeddedError naming the first that is not."""
        deadline = time.monotonic() + timeout
        for child in children:
            while child.program.ready and not child.program.ready():
                if time.monotonic() > deadline:
                    raise EmbeddedError(f"{child.program.name} did not start:\n{child.log_tail()}")
                self.tick()

    def tick(self) -> None:
        """Restart children that have died, then sleep for TICK."""
        for child in self._children:
            line = child.keep_running()
            if line:
                self._print_line(line)
        time.sleep(TICK)

    def run_forever(self) -> None:
        """Run until a signal arrives, or our parent `make` was interrupted without us."""
        while not (self._watches_make and _make_catches_interrupts() is False):
            self.tick()

    def stop(self) -> None:
        """Stop the highest phase first. Never raises, and takes hardly longer than STOP_SECONDS."""
        self._stopping = True
        deadline = time.monotonic() + STOP_SECONDS
        by_phase = sorted(self._children, key=lambda child: -child.program.phase)
        for _, group in groupby(by_phase, key=lambda child: child.program.phase):
            children = list(group)
            for child in children:
                child.signal_stop()
            for child in children:
                child.wait_stopped(deadline)


def _make_catches_interrupts() -> bool | None:
    """Return whether our parent is a `make` that still catches SIGINT; None if it is not a `make`.

    A terminal's Ctrl-C reaches the whole process group, but `kill -INT` of make's pid does not: make
    then sets SIGINT back to its default and waits for us. That reset is what shows here: its SigCgt
    mask (proc(5)) no longer holds SIGINT.
    """
    try:
        status = Path(f"/proc/{os.getppid()}/status").read_text()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    if fields.get("Name", "").strip() not in {"make", "gmake"}:
        return None
    return bool(int(fields["SigCgt"].strip(), 16) & (1 << (signal.SIGINT - 1)))
