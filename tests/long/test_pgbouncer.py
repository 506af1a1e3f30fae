"""PgBouncer that shares connections between transactions, under load: nothing fails, few connections are enough.

DATABASE_POOLER tells the portal (docs/scale.md#pgbouncer).
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from portal.command_lines import WEB_ENV, web_command, worker_command
from portal.embedded import postgres
from portal.embedded.postgres import PORTAL_ROLE, SUPERUSER
from tests.long.readers import SIGN_IN, Reader
from tests.results import Figure
from tests.system.parts import Parts
from tests.system.sender import Storm, new_senders
from tests.system.stack import eventually
from tests.system.test_portal_half_down import MAKE_ADMIN, Node, save

pytestmark = pytest.mark.services

POOL = 5
"""Connections to PostgreSQL, for 2 web processes of 9, a worker of 2, and beat."""
SECONDS = 15.0
READS = (
    "/alerts/",
    "/alerts/export.csv",
    "/alerts/export.jsonl",
    "/audit/export.csv",
    "/audit/export.jsonl",
    "/rollouts/",
    "/settings/environments/",
    "/settings/health/",
    "/settings/policy/",
    "/settings/policy/versions/",
)


class Pooled(Parts):
    """A portal behind PgBouncer; migrations and backups reach PostgreSQL itself."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        run = directory / "pooler"
        run.mkdir()
        (directory / "users.txt").write_text(f'"{PORTAL_ROLE}" ""\n')
        (directory / "pgbouncer.ini").write_text(
            f"""[databases]
driftwatch = host={directory / "run"} dbname=driftwatch

[pgbouncer]
unix_socket_dir = {run}
listen_port = 5432
auth_type = trust
auth_file = {directory / "users.txt"}
pool_mode = transaction
default_pool_size = {POOL}
max_client_conn = 200
admin_users = {PORTAL_ROLE}
"""
        )
        program = shutil.which("pgbouncer")
        assert program, "scripts/system-packages.sh long installs it"
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        self.version = said.splitlines()[0]
        self.commands["pooler"] = [*postgres._unprivileged(), program, str(directory / "pgbouncer.ini")]
        self.commands["web"] = web_command(self.port, 2)
        self.commands["worker"] = worker_command(2)
        self.direct_url = self.env["DATABASE_URL"]
        self.pooled_url = f"postgresql://{PORTAL_ROLE}@/driftwatch?host={quote(str(run), safe='')}"
        self.env |= {**WEB_ENV, "DATABASE_URL": self.pooled_url, "DATABASE_POOLER": "true"}

    def connections(self) -> int:
        """How many connections of the portal's role PostgreSQL has."""
        query = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{PORTAL_ROLE}'"
        with psycopg.connect(self._database.url(role=SUPERUSER)) as connection:
            return int(connection.execute(query).fetchall()[0][0])


@pytest.mark.parametrize("is_pooled", [False, True], ids=["direct", "pooled"])
def test_the_whole_portal_works_behind_a_pooler_that_shares_connections_between_transactions(
    directory: Path, tmp_path: Path, is_pooled: bool, figure: Figure
) -> None:
    parts = Pooled(directory)
    if not is_pooled:
        parts.env |= {"DATABASE_URL": parts.direct_url, "DATABASE_POOLER": "false"}
    try:
        parts.prepare(migrate=False)
        if is_pooled:
            parts.start("pooler")
        parts.manage("migrate", "--verbosity", "0")
        _run(parts, tmp_path, is_pooled, figure)
    finally:
        parts.stop()


def _run(parts: Pooled, tmp_path: Path, is_pooled: bool, figure: Figure) -> None:
    parts.collect_static_files()
    parts.manage("shell", "-c", MAKE_ADMIN)
    session = parts.manage("shell", "-c", SIGN_IN).splitlines()[-1]
    parts.start("web", "gateway", "worker", "beat")
    node = Node(parts, tmp_path)
    node.enrol()
    node.start()
    storm = Storm(new_senders(parts, 6))
    reader, most = Reader(parts.url, session, READS), 0
    try:
        save(parts, 1, "alert")
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            most = max(most, parts.connections())
            time.sleep(0.2)
        # The same batch again is merged through a temporary table, which stays in the server's connection.
        for sender in storm.senders:
            eventually(lambda sender=sender: sender.repeat() == 200, "a repeated batch is stored", 60)  # type: ignore[misc]
        eventually(lambda: node.number() == 2, "version 2 is applied", 60)
    finally:
        storm.end()
        reader.end()
        node.stop()
    stored = {event_id for (event_id,) in parts.rows("SELECT event_id FROM alerts_driftevent")}
    times = sorted(each for page in reader.times.values() for each in page)
    sent = len(storm.stored)
    p50, p99 = statistics.median(times) * 1000, times[int(len(times) * 0.99)] * 1000
    way = parts.version if is_pooled else "direct"
    goal = f"at most {POOL}" if is_pooled else ""
    figure(f"{way}: connections to PostgreSQL", str(most), goal=goal, kept=not is_pooled or most <= POOL)
    figure(f"{way}: events stored in {SECONDS:.0f} s", f"{sent:,}")
    figure(f"{way}: {len(times)} reads", f"p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    assert reader.failures == []
    # 429: a cluster has too many batches in work at once; sensors send them again.
    assert {status for _, status in storm.answers} <= {200, 429}
    assert storm.stored <= stored
    if is_pooled:
        assert most <= POOL
    for name in ("web", "worker", "beat"):
        assert not [line for line in parts.log(name) if "Traceback" in line or "prepared statement" in line], name
