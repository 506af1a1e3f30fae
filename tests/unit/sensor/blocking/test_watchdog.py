"""The watchdog as a process, with a program that stands in for the hold server."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor.blocking import watchdog

pytestmark = pytest.mark.serial

PATIENCE = 20.0
HOLDER = f"""\
import mmap, os, runpy, sys, time
runpy.run_path({watchdog.__file__!r})["die_with_parent"](int(sys.argv[-1]))
beat = mmap.mmap(int(sys.argv[1]), mmap.PAGESIZE)
open(sys.argv[2], "w").write(str(os.getpid()))
while True:
    beat[:8] = time.monotonic_ns().to_bytes(8, "little")
    time.sleep(0.02)
"""


class Guarded:
    """A watchdog with its hold server."""

    def __init__(self, directory: Path) -> None:
        self._pid_file = directory / "pid"
        self.beat = os.memfd_create("beat")
        os.truncate(self.beat, mmap.PAGESIZE)
        holder = [sys.executable, "-c", HOLDER, str(self.beat), str(self._pid_file)]
        command = [sys.executable, "-I", "-S", watchdog.__file__, str(os.getpid()), str(self.beat), "0.5", *holder]
        self.process = subprocess.Popen(command, pass_fds=[self.beat])

    def holder(self, pid_file: Path | None = None) -> int:
        """Return the hold server's pid, once it runs."""
        path = pid_file or self._pid_file
        until = time.monotonic() + PATIENCE
        while not path.exists() or not path.read_text():
            assert time.monotonic() < until
            time.sleep(0.01)
        return int(path.read_text())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.beat)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    made = Guarded(tmp_path)
    yield made
    made.close()


def is_gone(pid: int, patience: float = PATIENCE) -> bool:
    until = time.monotonic() + patience
    while True:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(0.01)


def test_a_frozen_hold_server_is_killed(guarded: Guarded) -> None:
    os.kill(guarded.holder(), signal.SIGSTOP)
    assert guarded.process.wait(PATIENCE) == 256 - signal.SIGKILL


def test_the_watchdog_exits_with_its_hold_server(guarded: Guarded) -> None:
    os.kill(guarded.holder(), signal.SIGTERM)
    assert guarded.process.wait(PATIENCE) == 256 - signal.SIGTERM


BETWEEN = """\
import subprocess, sys, os, time
beat, guard, holder, pid_file = int(sys.argv[1]), *sys.argv[2:]
command = [sys.executable, "-I", "-S", guard, str(os.getpid()), str(beat), "30"]
child = subprocess.Popen([*command, sys.executable, "-c", holder, str(beat), pid_file], pass_fds=[beat])
print(child.pid, flush=True)
time.sleep(60)
"""


def test_watchdog_and_hold_server_die_with_their_parent(guarded: Guarded, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    pid_file = tmp_path / "second/pid"
    command = [sys.executable, "-c", BETWEEN, str(guarded.beat), watchdog.__file__, HOLDER, str(pid_file)]
    between = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, pass_fds=[guarded.beat])
    assert between.stdout is not None
    guard_pid, holder_pid = int(between.stdout.readline()), guarded.holder(pid_file)
    assert not is_gone(guard_pid, 0.0)
    between.kill()
    between.communicate()
    assert is_gone(guard_pid)
    assert is_gone(holder_pid)


def test_a_watchdog_whose_parent_is_already_gone_starts_nothing() -> None:
    command = [sys.executable, "-I", "-S", watchdog.__file__, "1", "0", "1", "/bin/false"]
    assert subprocess.run(command, check=False).returncode == 1
