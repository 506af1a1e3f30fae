"""The sensor's capture as a process of its own, for bench/sensor.py: reads and commits until a signal, then reports."""

from __future__ import annotations

import collections
import dataclasses
import json
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sensor.capture import kernel_program
from sensor.capture.ebpf import open_ebpf
from sensor.capture.program_ways import ways

if TYPE_CHECKING:
    from sensor.capture.program_ways import Prober, Way
    from sensor.capture.programs import ProgramOptions
    from sensor.wire import Event


def read() -> None:
    """Print "ready", then, after SIGTERM and what was still to be read, one line of JSON."""
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    if "--without-provenance" in sys.argv:
        kernel_program.ways = _ways_without_provenance  # type: ignore[attr-defined]
    capture = open_ebpf()
    capture.history.switch(on="--without-history" not in sys.argv)
    idle = _rss()
    print("ready", flush=True)
    seen: collections.Counter[str] = collections.Counter()
    files: set[tuple[str, str | None]] = set()
    while True:
        events = capture.read(0.2)
        capture.commit()
        _count(events, seen, files)
        if stopping and not events:
            break
    counters = capture.counters()
    capture.close()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    report = {"seen": dict(seen), "files": len(files), "execs": counters.execs, "lost": counters.lost}
    print(json.dumps({**report, "cpu": usage.ru_utime + usage.ru_stime, "rss": _rss(), "idle": idle}))
    sys.stdout.flush()


def _ways_without_provenance(kernel: Prober, options: ProgramOptions) -> list[Way]:
    """Return the ways without a record of writers, and without sessions."""
    return ways(kernel, dataclasses.replace(options, followers=()))[-2:]


def _count(events: list[Event], seen: collections.Counter[str], files: set[tuple[str, str | None]]) -> None:
    for event in events:
        seen["events"] += event.count
        seen[event.process.hash_status] += event.count
        seen["written_by"] += event.process.written_by is not None
        files.add((event.process.path, event.process.sha256))


def _rss() -> int:
    """Resident bytes now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    read()
