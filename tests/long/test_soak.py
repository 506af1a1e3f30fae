"""Half an hour under load: memory, connections and open files stay flat.

SOAK_MINUTES changes the time. Figures are printed; what grows steadily after the first third fails the test.
"""

from __future__ import annotations

import os
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from portal.command_lines import WEB_ENV, web_command, worker_command
from tests.long.readers import SIGN_IN, Reader
from tests.results import Figure
from tests.system.parts import Parts
from tests.system.sender import Storm, new_senders
from tests.system.stack import eventually
from tests.system.test_backup import drift_recording
from tests.system.test_portal_half_down import MAKE_ADMIN, Node, save

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
pytestmark = [pytest.mark.services, pytest.mark.timeout(int(MINUTES * 60) + 600)]
SAMPLE_SECONDS = 10.0
SAVE_SECONDS = 30.0
PROGRAMS = ("web", "gateway", "worker", "beat")
PAGES = (
    "/alerts/",
    "/alerts/export.csv",
    "/audit/export.csv",
    "/rollouts/",
    "/settings/environments/",
    "/settings/health/",
    "/settings/policy/",
)
GROWTH = 1.1
ALLOWANCE = {"MiB": 8.0, "files": 6.0, "connections": 2.0}
"""What may be added beyond GROWTH: what a busy moment takes."""

Samples = dict[tuple[str, str], list[float]]
"""By (program, unit): one value every SAMPLE_SECONDS."""


@pytest.fixture
def parts(directory: Path) -> Iterator[Parts]:
    made = Parts(directory)
    made.env |= WEB_ENV
    made.commands["web"], made.commands["worker"] = web_command(made.port, 2), worker_command(2)
    try:
        made.prepare()
        made.collect_static_files()
        made.manage("shell", "-c", MAKE_ADMIN)
        made.start("web", "gateway", "worker", "beat")
        yield made
    finally:
        made.stop()


def _family(leader: int) -> list[int]:
    """The processes of a program: it leads a session of its own."""
    entries = [entry for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [int(entry.name) for entry in entries if _session(entry) == leader]


def _session(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[3])
    except OSError:
        return 0


def _mebibytes(pid: int) -> float:
    """What the process has in memory, with its share of what it shares."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def _files(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


def _take(parts: Parts, samples: Samples) -> None:
    for name in PROGRAMS:
        family = _family(parts.pid(name))
        samples[name, "MiB"].append(sum(map(_mebibytes, family)))
        samples[name, "files"].append(sum(map(_files, family)))
    with psycopg.connect(parts.env["MIGRATION_DATABASE_URL"]) as connection:
        row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = 'driftwatch'").fetchone()
    samples["PostgreSQL", "connections"].append(row[0] if row else 0)
    memory = redis.Redis.from_url(parts.env["REDIS_URL"]).info("memory")
    samples["Valkey", "MiB"].append(int(memory["used_memory"]) / 2**20)


def test_memory_connections_and_files_stay_flat(parts: Parts, tmp_path: Path, figure: Figure) -> None:
    session = parts.manage("shell", "-c", SIGN_IN).splitlines()[-1]
    node = Node(parts, tmp_path, drift_recording(tmp_path / "recording.jsonl"))
    node.enrol()
    node.start()
    eventually(lambda: node.number() == 1, "version 1 is applied", 60)
    storm = Storm(new_senders(parts, 4), events=20, pause=0.5)
    reader = Reader(parts.url, session, PAGES, 0.5)
    samples: Samples = defaultdict(list)
    number, saved, ends = 1, time.monotonic(), time.monotonic() + MINUTES * 60
    try:
        while time.monotonic() < ends:
            _take(parts, samples)
            if time.monotonic() - saved > SAVE_SECONDS:
                save(parts, number, ("ignore", "alert")[number % 2])
                number, saved = number + 1, time.monotonic()
            time.sleep(SAMPLE_SECONDS)
        eventually(lambda: node.number() == number, f"version {number} is applied", 60)
    finally:
        storm.end()
        reader.end()
        node.stop()

    pages = sum(map(len, reader.times.values()))
    figure(f"load of {MINUTES:.0f} min", f"{len(storm.stored):,} events, {pages:,} pages, {number} versions")
    grown = []
    for (program, unit), values in samples.items():
        third = len(values) // 3
        middle, last = statistics.median(values[third : 2 * third]), statistics.median(values[2 * third :])
        most = middle * GROWTH + ALLOWANCE[unit]
        if last > most:
            grown.append((program, unit, middle, last))
        figure(f"{program}: {unit}", f"{middle:.1f} → {last:.1f}", goal=f"at most {most:.1f}", kept=last <= most)
    assert reader.failures == []
    assert {status for _, status in storm.answers} == {200}
    assert grown == []
