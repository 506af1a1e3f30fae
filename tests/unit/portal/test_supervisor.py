"""The supervisor keeps programs running and stops them in order."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from portal.embedded.errors import EmbeddedError
from portal.serve.programs import Child, Program
from portal.serve.supervisor import Supervisor

pytestmark = pytest.mark.serial

WAIT_FOR_SIGTERM = (
    "import signal,sys; signal.signal(15, lambda *a: sys.exit(0)); print('up', flush=True); signal.pause()"
)
IGNORE_SIGTERM = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"


def _program(name: str, code: str, phase: int = 0, **more: object) -> Program:
    return Program(name, [sys.executable, "-c", code], phase, **more)  # type: ignore[arg-type]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path, lambda line: None)
    yield supervisor
    supervisor.stop()


def _until(condition: Callable[[], bool], supervisor: Supervisor, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        supervisor.tick()


def _is_up(directory: Path, name: str, times: int = 1) -> bool:
    log = directory / f"{name}.log"
    return log.exists() and log.read_text().count("up") >= times


def _pid(directory: Path, name: str) -> int:
    return int((directory / f"{name}.pid").read_text())


def _is_alive(pid: int) -> bool:
    """One that has ended is not, though nobody may have waited for it: that is the business of process 1."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_a_killed_program_is_restarted(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(_program("a", WAIT_FOR_SIGTERM))
    _until(lambda: _is_up(tmp_path, "a"), supervisor)
    first = _pid(tmp_path, "a")
    os.kill(first, signal.SIGKILL)
    _until(lambda: _is_up(tmp_path, "a", times=2), supervisor)
    assert _pid(tmp_path, "a") != first


def test_a_program_with_a_final_exit_status_is_not_restarted(supervisor: Supervisor, tmp_path: Path) -> None:
    child = supervisor.start(_program("a", "print('up'); raise SystemExit(3)", final_codes=frozenset({3})))
    _until(lambda: not child.is_running(), supervisor)
    for _ in range(8):
        supervisor.tick()
    assert (tmp_path / "a.log").read_text().count("up") == 1


def test_sensors_stop_before_the_services_that_keep_their_data(supervisor: Supervisor, tmp_path: Path) -> None:
    last_words = "import signal,sys,time; from pathlib import Path\n"
    last_words += "def bye(*a):\n    Path({!r}).open('a').write({!r}); sys.exit(0)\n"
    last_words += "signal.signal(15, bye); print('up', flush=True); signal.pause()"
    order = str(tmp_path / "order")
    for name, phase in (("services", 0), ("sensors", 3), ("web", 2)):
        supervisor.start(_program(name, last_words.format(order, name + " "), phase))
    for name in ("services", "sensors", "web"):
        _until(lambda name=name: _is_up(tmp_path, name), supervisor)  # type: ignore[misc]
    supervisor.stop()
    assert Path(order).read_text() == "sensors web services "


def test_a_program_that_does_not_stop_is_killed_with_everything_it_started(tmp_path: Path) -> None:
    child = Child(_program("stubborn", IGNORE_SIGTERM), tmp_path)
    child.start()
    deadline = time.monotonic() + 30
    while not _is_up(tmp_path, "stubborn"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pid = _pid(tmp_path, "stubborn")
    child.signal_stop()
    child.wait_stopped(time.monotonic() + 0.2)
    assert not _is_alive(pid)


def test_the_workers_of_a_killed_master_are_killed(supervisor: Supervisor, tmp_path: Path) -> None:
    # In one write each: both have the same log, and print may write word by word.
    fork = "import os, signal\npid = os.fork()\nos.write(1, b'up\\n' if pid else b'worker %d\\n' % os.getpid())\n"
    fork += "signal.pause()"
    supervisor.start(_program("master", fork))
    log = tmp_path / "master.log"
    _until(lambda: log.exists() and re.search(r"worker \d+\n", log.read_text()) is not None, supervisor)
    worker = int(re.findall(r"worker (\d+)\n", log.read_text())[0])
    os.kill(_pid(tmp_path, "master"), signal.SIGKILL)
    _until(lambda: not _is_alive(worker), supervisor)


def test_a_program_that_does_not_become_ready_is_reported_with_its_last_output(supervisor: Supervisor) -> None:
    child = supervisor.start(_program("web", "print('no such table'); raise SystemExit(1)", ready=lambda: False))
    _until(lambda: not child.is_running(), supervisor)
    with pytest.raises(EmbeddedError, match=r"(?s)web did not start.*no such table"):
        supervisor.wait_ready([child], timeout=0.3)
