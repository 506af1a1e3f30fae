"""A whole sensor within the ceilings of the delivered unit; for bench/sensor.py."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.unit.sensor.fake_portal import FakePortal
from tests.unit.sensor.makers import enrolled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sensor.wire import Counters

CGROUPS: Final = Path("/sys/fs/cgroup")
MEMORY_BYTES: Final = 256 * 1024 * 1024
CPU_SHARE: Final = 0.5
"""deploy/sensor/driftwatch-sensor.service: MemoryMax, CPUQuota."""
PERIOD_US: Final = 100_000
PATIENCE: Final = 120.0
WINDOW_SECONDS: Final = 5


class Ceiling:
    """A cgroup with the unit's ceilings, of v1 or v2; `take` moves a process there."""

    def __init__(self) -> None:
        name = f"driftwatch-bench-{os.getpid()}"
        self._is_v1 = (CGROUPS / "memory").is_dir()
        self._directories = [CGROUPS / each / name for each in (("cpu", "memory", "cpuacct") if self._is_v1 else ("",))]
        for directory in self._directories:
            directory.mkdir()
        quota = int(CPU_SHARE * PERIOD_US)
        self._cpu, self._memory = self._directories[0], self._directories[1 if self._is_v1 else 0]
        if self._is_v1:
            (self._cpu / "cpu.cfs_quota_us").write_text(str(quota))
            (self._memory / "memory.limit_in_bytes").write_text(str(MEMORY_BYTES))
        else:
            (self._cpu / "cpu.max").write_text(f"{quota} {PERIOD_US}")
            (self._memory / "memory.max").write_text(str(MEMORY_BYTES))

    def take(self, pid: int) -> None:
        for directory in self._directories:
            (directory / "cgroup.procs").write_text(str(pid))

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of everything that ran in it so far."""
        if self._is_v1:
            return int((self._directories[2] / "cpuacct.usage").read_text()) / 1e9
        return int((self._cpu / "cpu.stat").read_text().split()[1]) / 1e6

    def peak_bytes(self) -> int:
        return int((self._memory / ("memory.max_usage_in_bytes" if self._is_v1 else "memory.peak")).read_text())

    def close(self) -> None:
        for directory in self._directories:
            directory.rmdir()


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Of one storm: how fast it was, what of it the sensor saw and lost, and what that cost sensor and portal."""

    seconds: float
    behind: float
    """Seconds that the sensor still worked at it afterwards, until a heartbeat said so."""
    pace: float | None
    """Execs a second while it did, between two heartbeats; None where it sent fewer."""
    cpu: float
    drifted: int
    lost: dict[str, int]
    counted: int
    """Over all events that the portal got."""
    events: int
    posts: int


class Bounded:
    """A sensor within `Ceiling`, and a portal that counts what it gets."""

    def __init__(self, portal: FakePortal, directory: Path, ceiling: Ceiling) -> None:
        self.portal, self.ceiling = portal, ceiling
        self._number = 0
        self.publish("ignore")
        command = [sys.executable, "-m", "sensor", "run", "--state", str(enrolled(directory / "state", portal).path)]
        command += ["--capture", "ebpf", "--pin-dir", str(directory / "pins"), "--no-blocking", "--log-level", "error"]
        command += ["--heartbeat-seconds", "1", "--window-seconds", str(WINDOW_SECONDS)]
        self.process = subprocess.Popen(command)
        ceiling.take(self.process.pid)
        portal.wait(lambda: bool(portal.statuses) and bool(portal.heartbeats), PATIENCE)

    def publish(self, action: str) -> None:
        """Make a policy of that one action the one in force."""
        self._number += 1
        document: dict[str, Any] = {"schema": 1, "rules": [], "default": {"action": action}}
        self.portal.publish(self._number, document)
        if self._number > 1:
            self.portal.push("policy", {"number": self._number, "etag": self.portal.etag})
            self.portal.wait(lambda: self.portal.statuses[-1].number == self._number, PATIENCE)

    def storm(self, execs: int, run: Callable[[], object], *, is_frozen: bool = False) -> Outcome:
        """Run one, and wait until all of it is seen or lost and the window is over.

        With `is_frozen` the sensor stands still meanwhile, so `behind` is what it takes for all of it at its own pace.
        """
        before, cpu = self._counters(), self.ceiling.cpu_seconds()
        events, counted, posts = self._got()
        if is_frozen:
            self.process.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        run()
        ended = time.monotonic()
        first = len(self.portal.heartbeats)
        self.process.send_signal(signal.SIGCONT)
        self.portal.wait(lambda: self._seen(before) >= execs, PATIENCE)
        behind = time.monotonic() - ended
        time.sleep(WINDOW_SECONDS + 2)
        now, got = self._counters(), self._got()
        return Outcome(
            seconds=ended - begun,
            behind=behind,
            pace=self._pace(first, before, execs),
            cpu=self.ceiling.cpu_seconds() - cpu,
            drifted=now.drifted - before.drifted,
            lost={cause: number - before.lost.get(cause, 0) for cause, number in now.lost.items()},
            counted=got[1] - counted,
            events=got[0] - events,
            posts=got[2] - posts,
        )

    def _counters(self) -> Counters:
        return self.portal.heartbeats[-1].counters

    def _seen(self, before: Counters) -> int:
        now = self._counters()
        return now.drifted - before.drifted + sum(now.lost.values()) - sum(before.lost.values())

    def _pace(self, first: int, before: Counters, execs: int) -> float | None:
        """Return the execs a second between the first heartbeat from that one on and the last that has not all."""
        beats = [(beat.sent_at, beat.counters.drifted - before.drifted) for beat in self.portal.heartbeats[first:]]
        points = [(at, seen) for at, seen in beats if at is not None and 0 < seen < execs]
        if len(points) < 2:
            return None
        (begun, done), (ended, all_done) = points[0], points[-1]
        return (all_done - done) / (ended - begun).total_seconds()

    def _got(self) -> tuple[int, int, int]:
        """Return the events received, the execs that they count, and the calls that carried them."""
        events = list(self.portal.events.values())
        posts = sum(1 for path, _ in list(self.portal.calls) if path.endswith("me/events"))
        return len(events), sum(event.count for event in events), posts


@contextlib.contextmanager
def bounded() -> Iterator[Bounded]:
    """One that runs."""
    with contextlib.ExitStack() as held:
        directory = Path(held.enter_context(tempfile.TemporaryDirectory()))
        ceiling = Ceiling()
        held.callback(ceiling.close)
        sensor = Bounded(held.enter_context(FakePortal().serving()), directory, ceiling)
        held.callback(sensor.process.wait)
        held.callback(sensor.process.terminate)
        yield sensor
