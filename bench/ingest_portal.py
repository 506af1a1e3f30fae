"""A separate portal for the ingest and alerts benchmarks: durable PostgreSQL, and the web process as deployed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from portal.command_lines import WEB_ENV, web_command, web_processes
from portal.embedded import postgres, valkey
from portal.serve.stack import responds

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Portal:
    """Its URL and its database."""

    port: int
    database_url: str


@contextmanager
def portal(processes: int | None = None) -> Iterator[Portal]:
    """Start it empty in a directory that is removed afterwards, and make this process its Django too.

    `processes` of the web server; by default as many as it is run with on this machine.
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # as `timeout` sends: stop what was started
    directory = Path(tempfile.mkdtemp(prefix="dwb-"))
    servers: list[subprocess.Popen[bytes]] = []
    try:
        database = postgres.Postgres(directory / "pg", directory / "run", postgres.find_binaries())
        queue = valkey.Valkey(directory / "valkey", directory / "run" / "v.sock", valkey.find_binary())
        for service in (database, queue):
            service.prepare()
            servers.append(_start(service.command(), directory / "services.log"))
        database.ensure_database()
        queue.wait()
        _settings(database.url(), queue.url)
        port = _free_port()
        servers.append(_start(_web(port, processes), directory / "web.log", **WEB_ENV))
        _wait(f"http://127.0.0.1:{port}/readyz?role=web")
        yield Portal(port, database.url())
    finally:
        for server in reversed(servers):
            server.send_signal(signal.SIGINT)
            server.wait(timeout=30)
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def static_files() -> Iterator[None]:
    """Collect them before the web process starts, which reads them once; the configured services are not contacted."""
    unused = {"SECRET_KEY": "x", "DATABASE_URL": "postgresql://none@/none", "REDIS_URL": "redis://127.0.0.1:1/0"}
    with tempfile.TemporaryDirectory(prefix="dwb-static-") as directory:
        os.environ["STATIC_ROOT"] = directory
        command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
        subprocess.run(command, cwd=ROOT, env=os.environ | unused, check=True)
        yield


def _settings(database_url: str, redis_url: str) -> None:
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "SECRET_KEY": "only for benchmarks",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "LOG_LEVEL": "WARNING",
        # Not what is measured: one sensor opens batches of a thousand alerts.
        "NEW_ALERTS_PER_CONTAINER": "1000000",
        "NEW_ALERTS_PER_SENSOR": "1000000",
    }
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def _web(port: int, processes: int | None) -> list[str]:
    return web_command(port, processes or web_processes())


def _start(command: list[str], log: Path, **env: str) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(command, cwd=ROOT, env=os.environ | env, stdout=out, stderr=out, start_new_session=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(url: str, most: float = 60.0) -> None:
    deadline = time.monotonic() + most
    while not responds(url):
        if time.monotonic() > deadline:
            sys.exit(f"bench: {url} does not answer")
        time.sleep(0.1)
