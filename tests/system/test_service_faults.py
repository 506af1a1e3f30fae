"""What the portal shows of faults in its services, and within how many seconds (docs/health.md): disk, clock, speed.

Each test leaves everything as it found it. Web alone runs: what the others would report is another test's.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest
import redis

from portal.embedded.postgres import PORTAL_ROLE
from tests.system import clock
from tests.system.clock import SteppedClock
from tests.system.parts import Parts
from tests.system.relay import Relay
from tests.system.sender import new_senders
from tests.system.stack import eventually

pytestmark = pytest.mark.services

DISK_MIB = 320
"""Of the database: what an empty one takes, and room for the log that its first minutes write."""
BUSY = 45.0
"""Seconds that a busy machine may add before a test fails; what was measured is printed."""


class Faulty:
    """A portal whose disks can be full, whose clocks step, and whose database can be slow."""

    def __init__(self, directory: Path) -> None:
        self.database_disk, self.portal_disk = directory / "disk", directory / "portal"
        self.parts = Parts(directory, self.database_disk)
        self.relay_directory, self.run = directory / "relay", directory / "run"
        self.relay: Relay | None = None
        self.web_clock, self.database_clock = (
            SteppedClock(directory / "clock-web"),
            SteppedClock(directory / "clock-postgres"),
        )
        host = quote(str(self.relay_directory), safe="")
        self.parts.env |= {
            "DATABASE_URL": f"postgresql://{PORTAL_ROLE}@/driftwatch?host={host}",
            "DISK_PATHS": f"{self.database_disk},{self.portal_disk}",
            "WEB_THREADS": "4",
            "DATABASE_POOL": "5",
        }
        self.parts.own_env = {"web": self.web_clock.env, "postgres": self.database_clock.env}
        self.parts.commands["postgres"] += ["-c", "max_wal_size=64MB", "-c", "min_wal_size=32MB"]

    def check(self, code: str) -> str:
        """What /readyz says of one condition."""
        return str(httpx.get(f"{self.parts.url}/readyz", timeout=30).json()["checks"][code])

    def shows(self, what: str, code: str, text: str, seconds: float = 5.0) -> None:
        """Wait until /readyz says so, and print how long that took."""
        began = time.monotonic()
        eventually(lambda: self.check(code).startswith(text), f"{what}: {code} is {text}", seconds + BUSY, pause=0.2)
        print(f"{what}, {code} {text}: {time.monotonic() - began:.1f} s")

    @contextlib.contextmanager
    def as_owner(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.parts.env["MIGRATION_DATABASE_URL"], autocommit=True) as connection:
            yield connection


@pytest.fixture(scope="module")
def faulty() -> Iterator[Faulty]:
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount small filesystems")
    directory = Path(tempfile.mkdtemp(prefix="dws-"))
    made = Faulty(directory)
    disks = {made.database_disk: DISK_MIB, made.portal_disk: 4}
    try:
        for path, size in disks.items():
            path.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m", "driftwatch-test", path], check=True)
        made.relay = Relay(made.relay_directory, made.run)
        made.parts.prepare()
        made.parts.start("web")
        yield made
    finally:
        made.parts.stop()
        if made.relay:
            made.relay.close()
        for path in disks:
            subprocess.run(["umount", "--lazy", path], check=False)
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    """Leave no room on a filesystem."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        # In steps: others write meanwhile, and a file that does not fit whole is not made at all.
        for step in (1024**2, 64 * 1024, 4096):
            with contextlib.suppress(OSError):
                while True:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), step)
    try:
        yield
    finally:
        filler.unlink()


def test_a_full_disk_of_the_portal_is_shown_at_the_next_look(faulty: Faulty) -> None:
    assert faulty.check("disk").startswith("ok")
    with full(faulty.portal_disk):
        faulty.shows("the portal's disk is full", "disk", "failing")
    faulty.shows("it has room again", "disk", "ok")


def test_with_a_full_database_disk_events_are_refused_with_503_and_none_acknowledged_is_lost(faulty: Faulty) -> None:
    (sender,) = new_senders(faulty.parts, 1)
    assert sender.send() == 200
    with full(faulty.database_disk):
        faulty.shows("the database's disk is full", "disk", "failing")
        statuses = set()
        while 503 not in statuses:
            statuses.add(sender.send())
        assert statuses <= {200, 503}

    def is_stored_again() -> bool:
        faulty.parts.revive("postgres")  # without room for its log it ends
        return sender.send() == 200

    eventually(is_stored_again, "events are stored again", 60, pause=0.5)
    rows = faulty.parts.rows("SELECT event_id FROM alerts_driftevent")
    found = [event_id for (event_id,) in rows]
    assert set(sender.stored) <= set(found)
    assert len(found) == len(set(found))
    faulty.shows("it has room again", "disk", "ok")


@pytest.mark.parametrize("whose", ["web", "postgres"])
@pytest.mark.parametrize("seconds", [30, -30])
def test_a_clock_of_the_portal_that_steps_is_shown_at_the_next_look(faulty: Faulty, whose: str, seconds: int) -> None:
    clock.needs_library()
    stepped = faulty.web_clock if whose == "web" else faulty.database_clock
    faulty.shows("before", "portal_clock", "ok")
    stepped.step(seconds)
    try:
        faulty.shows(f"{whose}'s clock steps {seconds:+d} s", "portal_clock", "failing")
        ahead = (seconds > 0) is (whose == "web")
        said = re.search(r"this machine is (\d+) s (ahead of|behind) ", faulty.check("portal_clock"))
        assert said is not None
        assert said[2] == ("ahead of" if ahead else "behind")
        assert abs(int(said[1]) - abs(seconds)) < 5
    finally:
        stepped.step(0)
    faulty.shows("the clock is right again", "portal_clock", "ok")


def test_a_slow_database_makes_readyz_fail_in_seconds_and_web_stays_in_service(faulty: Faulty) -> None:
    assert faulty.relay is not None
    faulty.relay.delay = 1.2
    try:
        faulty.shows("each query takes 1.2 s longer", "database", "failing: hangs")
        assert httpx.get(f"{faulty.parts.url}/readyz?role=web", timeout=30).status_code == 200
    finally:
        faulty.relay.delay = 0.0
    faulty.shows("the database is fast again", "database", "ok")


def test_commits_that_wait_for_a_standby_are_shown_and_acknowledged_once_they_are_on_it(faulty: Faulty) -> None:
    (sender,) = new_senders(faulty.parts, 1)
    statuses: list[int] = []
    sending = threading.Thread(target=lambda: statuses.append(sender.send(5)))
    with faulty.as_owner() as owner:
        owner.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
        owner.execute("SELECT pg_reload_conf()")
        try:
            eventually(lambda: owner.execute("SHOW synchronous_standby_names").fetchone() == ("gone",), "it is set")
            sending.start()
            faulty.shows("the standby is gone", "database_service", "failing: 1 commit waits for a standby", 10)
            assert statuses == []
        finally:
            owner.execute("ALTER SYSTEM RESET synchronous_standby_names")
            owner.execute("SELECT pg_reload_conf()")
    sending.join(60)
    assert statuses == [200]
    faulty.shows("the standby is back", "database_service", "ok")


def test_a_database_that_only_reads_is_shown_and_answers_503_to_what_writes(faulty: Faulty) -> None:
    (sender,) = new_senders(faulty.parts, 1)
    with faulty.as_owner() as owner:
        owner.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        owner.execute("SELECT pg_reload_conf()")
        try:
            faulty.shows("the database only reads", "database_service", "failing: it only reads")
            assert sender.send(5) == 503
        finally:
            owner.execute("SET default_transaction_read_only = off")
            owner.execute("ALTER SYSTEM RESET default_transaction_read_only")
            owner.execute("SELECT pg_reload_conf()")
    faulty.shows("it writes again", "database_service", "ok")
    assert sender.send(5) == 200


def test_partitions_that_are_missing_are_shown_at_the_next_look(faulty: Faulty) -> None:
    faulty.shows("before", "partitions", "ok")
    with faulty.as_owner() as owner:
        row = owner.execute("SELECT to_char(now() AT TIME ZONE 'UTC' + interval '1 day', 'YYYYMMDD')").fetchone()
        assert row is not None
        owner.execute(f"DROP TABLE alerts_driftevent_{row[0]}")
    faulty.shows("tomorrow's partition is missing", "partitions", "failing")
    faulty.parts.manage("shell", "-c", "from drift.alerts.actions.partitions import keep_partitions; keep_partitions()")
    faulty.shows("it is there again", "partitions", "ok")


def test_a_redis_whose_memory_is_nearly_full_is_shown_at_the_next_look(faulty: Faulty) -> None:
    client = redis.Redis.from_url(faulty.parts.env["REDIS_URL"])
    used = int(client.info("memory")["used_memory"])
    client.config_set("maxmemory", int(used * 1.04))
    try:
        faulty.shows("Redis's memory is nearly full", "redis", "failing: its memory is")
    finally:
        client.config_set("maxmemory", 0)
    faulty.shows("it has room again", "redis", "ok")
