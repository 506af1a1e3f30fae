"""PostgreSQL's primary is killed under load and its standby promoted: what is lost, and for how long nobody is served.

DATABASE_URL names both servers and asks for the one that writes (docs/scale.md#a-standby-of-postgresql).
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from portal.command_lines import WEB_ENV, web_command
from portal.embedded import postgres
from portal.embedded.postgres import PORTAL_ROLE, SUPERUSER
from tests.results import Figure
from tests.system.parts import Parts
from tests.system.sender import Storm, new_senders
from tests.system.stack import eventually
from tests.system.test_portal_half_down import MAKE_ADMIN, save

pytestmark = pytest.mark.services

LOAD_SECONDS = 8.0


class Pair(Parts):
    """A portal whose database has a standby; `standby` is down until `prepare` has made it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._primary_run, self._standby_run = directory / "run", directory / "run2"
        self._standby = postgres.Postgres(directory / "pg2", self._standby_run, postgres.find_binaries())
        hosts = quote(f"{self._primary_run},{self._standby_run}", safe=",")
        self.env |= {
            **WEB_ENV,
            "DATABASE_URL": f"postgresql://{PORTAL_ROLE}@/driftwatch?host={hosts}&target_session_attrs=read-write",
            "MIGRATION_DATABASE_URL": f"postgresql://{SUPERUSER}@/driftwatch?host={hosts}&target_session_attrs=read-write",
        }
        self.commands["standby"] = self._standby.command()
        self.commands["web"] = web_command(self.port, 2)

    def add_standby(self) -> None:
        self._standby_run.mkdir()
        program = str(postgres.find_binaries() / "pg_basebackup")
        words = [
            "--pgdata",
            str(self._standby.data),
            "--write-recovery-conf",
            "--wal-method=stream",
            "--checkpoint=fast",
        ]
        words += ["--host", str(self._primary_run), "--username", SUPERUSER, "--create-slot", "--slot=standby"]
        subprocess.run([*postgres._unprivileged(), program, *words], check=True, capture_output=True)
        self.start("standby")
        state = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        eventually(lambda: self.on_primary(state)[0][0] == 1, "the standby streams", 30)

    def on_primary(self, statement: str) -> list[tuple[Any, ...]]:
        return _rows(self._database.url(), statement)

    def on_standby(self, statement: str) -> list[tuple[Any, ...]]:
        return _rows(self._standby.url(), statement)

    def commit_only_on_both(self) -> None:
        self.on_primary("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.on_primary("SELECT pg_reload_conf()")
        waits = "SELECT sync_state FROM pg_stat_replication"
        eventually(lambda: self.on_primary(waits) == [("sync",)], "commits wait for the standby", 30)

    def stop_receiving(self) -> None:
        """Let the standby get nothing more of the log, as when the network between the two fails first."""
        self.on_standby("ALTER SYSTEM SET primary_conninfo = ''")
        self.on_standby("SELECT pg_reload_conf()")
        running = "SELECT count(*) FROM pg_stat_wal_receiver"
        eventually(lambda: self.on_standby(running) == [(0,)], "the standby receives nothing", 30)


def _rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        done = connection.execute(statement)
        return done.fetchall() if done.description else []


@pytest.fixture
def pair(directory: Path) -> Iterator[Pair]:
    made = Pair(directory)
    try:
        made.prepare()
        made.manage("shell", "-c", MAKE_ADMIN)
        made.add_standby()
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize(("kind", "behind"), [("synchronous", 0.0), ("asynchronous", 0.0), ("asynchronous", 1.0)])
def test_a_failover_under_load_loses_nothing_that_both_servers_acknowledged(
    pair: Pair, kind: str, behind: float, figure: Figure
) -> None:
    if kind == "synchronous":
        pair.commit_only_on_both()
    pair.start("web", "gateway", "worker", "beat")
    storm = Storm(new_senders(pair, 4))
    try:
        time.sleep(LOAD_SECONDS)
        if behind:
            pair.stop_receiving()
            time.sleep(behind)
        before = len(storm.stored)
        pair.kill("postgres")
        killed = time.monotonic()
        pair.on_standby("SELECT pg_promote()")
        promoted = time.monotonic()
        found = eventually(lambda: storm.accepted_after(promoted), "events are accepted again", 60)
        time.sleep(2)
    finally:
        storm.end()
    kept = {event_id for (event_id,) in pair.on_standby("SELECT event_id FROM alerts_driftevent")}
    lost = storm.stored - kept
    statuses = {status for _, status in storm.answers}
    what = f"{kind} replication, {behind:.0f} s behind"
    goal = "0 lost" if kind == "synchronous" else ""
    figure(f"{what}: acknowledged events", f"{len(lost)} of {before:,} lost", goal=goal, kept=not (goal and lost))
    figure(f"{what}: stored again", f"{found:.1f} s after the promotion ({promoted - killed:.1f} s)")
    print(f"statuses {sorted(statuses)}")
    assert statuses <= {200, 503}
    if kind == "synchronous":
        assert not lost
    # The whole portal goes on with the new primary by itself.
    for code in ("worker", "beat"):
        eventually(lambda code=code: pair.doctor()[code] == "ok", f"{code} is well", 60)  # type: ignore[misc]
    save(pair, 1, "alert")
    spread = "SELECT count(*) FROM fleet_rollout WHERE spread_at IS NULL"
    eventually(lambda: pair.on_standby(spread) == [(0,)], "the version is distributed", 60)
