"""The embedded PostgreSQL and Valkey keep what was committed when they are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
import redis

from portal.embedded import postgres, valkey
from portal.embedded.errors import EmbeddedError
from portal.serve.programs import Program
from portal.serve.supervisor import Supervisor

pytestmark = [pytest.mark.services, pytest.mark.serial]


def _start(service: postgres.Postgres | valkey.Valkey) -> subprocess.Popen[bytes]:
    """Start it, as the supervisor does, until it stays: a killed PostgreSQL's backends may outlive it for a moment."""
    deadline = time.monotonic() + 20
    while True:
        process = subprocess.Popen(service.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        if process.poll() is None:
            return process
        assert time.monotonic() < deadline, "the server ended each time it was started"


@contextmanager
def _running(service: postgres.Postgres | valkey.Valkey, stop: signal.Signals) -> Iterator[None]:
    service.prepare()
    process = _start(service)
    try:
        yield
    finally:
        process.send_signal(stop)
        process.wait(timeout=20)


def test_postgresql_keeps_its_rows_over_kill_9(tmp_path: Path) -> None:
    server = postgres.Postgres(tmp_path / "pg", tmp_path / "run", postgres.find_binaries())
    with _running(server, signal.SIGKILL):
        server.ensure_database()
        with psycopg.connect(server.url()) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with _running(server, signal.SIGINT):
        server.ensure_database()
        with psycopg.connect(server.url()) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_a_start_during_the_end_of_a_killed_server_is_retried(tmp_path: Path) -> None:
    server = postgres.Postgres(tmp_path / "pg", tmp_path / "run", postgres.find_binaries(), durable=False)
    with _running(server, signal.SIGKILL):
        server.ensure_database()
        with psycopg.connect(server.url()) as connection:
            query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'"
            left = [pid for (pid,) in connection.execute(query)]
        os.kill(left[0], signal.SIGSTOP)  # as one that a slow disk keeps
    printed: list[str] = []
    supervisor = Supervisor(tmp_path / "logs", printed.append)

    def look() -> None:
        supervisor.tick()
        if printed and left:
            os.kill(left.pop(), signal.SIGKILL)

    supervisor.start(Program("postgres", server.command(), 0, stop_signal=signal.SIGINT))
    server.ensure_database(pause=look)
    supervisor.stop()

    assert "postgres exited with status 1" in printed[0]


def test_it_listens_on_no_network_and_brings_trigrams(tmp_path: Path) -> None:
    server = postgres.Postgres(tmp_path / "pg", tmp_path / "run", postgres.find_binaries(), durable=False)
    with _running(server, signal.SIGINT):
        server.ensure_database()
        with psycopg.connect(server.url(), autocommit=True) as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
            connection.execute("CREATE EXTENSION pg_trgm")


def test_a_data_directory_of_another_major_version_is_rejected(tmp_path: Path) -> None:
    server = postgres.Postgres(tmp_path / "pg", tmp_path / "run", postgres.find_binaries())
    server.data.mkdir()
    (server.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedError, match="was created by PostgreSQL 9"):
        server.prepare()


def test_valkey_keeps_its_keys_over_kill_9(tmp_path: Path) -> None:
    server = valkey.Valkey(tmp_path / "valkey", tmp_path / "run" / "v.sock", valkey.find_binary())
    with _running(server, signal.SIGKILL):
        server.wait()
        client = redis.Redis.from_url(server.url)
        client.set("kept", "yes")
        client.execute_command("WAITAOF", 1, 0, 2000)  # type: ignore[no-untyped-call]
    with _running(server, signal.SIGTERM):
        server.wait()
        assert redis.Redis.from_url(server.url).get("kept") == b"yes"
