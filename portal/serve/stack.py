"""The programs of Driftwatch on one machine, in the order in which they start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from portal.command_lines import (
    WEB_ENV,
    beat_command,
    gateway_command,
    metrics_environment,
    web_command,
    web_processes,
    worker_command,
)
from portal.embedded import postgres, valkey
from portal.embedded.errors import EmbeddedError
from portal.serve.options import ServeOptions, secret_key, socket_directory
from portal.serve.programs import Child, Program
from portal.serve.supervisor import Supervisor

SERVICES, BACKEND, FRONTEND, SENSORS = 0, 1, 2, 3
"""Phases: sensors stop first, the services that hold the data last."""


class Stack:
    """The environment that all programs share, and how each is started."""

    def __init__(self, options: ServeOptions, supervisor: Supervisor, print_line: Callable[[str], None]) -> None:
        self.options = options
        self.supervisor = supervisor
        self._print_line = print_line
        self.env: dict[str, str] = {
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "PUBLIC_URL": options.url,
            "STREAM_URL": os.environ.get("STREAM_URL") or f"http://127.0.0.1:{options.gateway_port}/stream",
            "STATIC_ROOT": str(options.data / "static"),
            "PYTHONUNBUFFERED": "1",
            "DISK_PATHS": os.environ.get("DISK_PATHS") or str(options.data),
            # Only migrations know the owner of the tables; programs that serve must not.
            "MIGRATION_DATABASE_URL": "",
            "MIGRATION_DATABASE_URL_FILE": "",
        }
        self._owner = {
            name: os.environ[name]
            for name in ("MIGRATION_DATABASE_URL", "MIGRATION_DATABASE_URL_FILE")
            if os.environ.get(name)
        }

    def start_services(self) -> None:
        """Start PostgreSQL and Valkey, unless DATABASE_URL and REDIS_URL name others."""
        embedded = not os.environ.get("DATABASE_URL")
        if embedded:
            self.env["SECRET_KEY"] = os.environ.get("SECRET_KEY") or secret_key(self.options.data)
        run = socket_directory(self.options.data)
        queue = None if os.environ.get("REDIS_URL") else self._start_valkey(run)
        database = self._start_postgres(run) if embedded else None
        if queue:
            queue.wait()
        if database:
            # A server exits at once while processes of a killed one hold the data directory: restart it until it stays.
            database.ensure_database(pause=self.supervisor.tick)

    def _start_postgres(self, run: Path) -> postgres.Postgres:
        server = postgres.Postgres(self.options.data / "postgres", run, postgres.find_binaries())
        self._print_line("Starting PostgreSQL …")
        server.prepare()
        # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients.
        self.supervisor.start(Program("postgres", server.command(), SERVICES, stop_signal=signal.SIGINT))
        self.env["DATABASE_URL"] = server.url(role=postgres.PORTAL_ROLE)
        self._owner = {"MIGRATION_DATABASE_URL": server.url()}
        return server

    def _start_valkey(self, run: Path) -> valkey.Valkey:
        server = valkey.Valkey(self.options.data / "valkey", run / "valkey.sock", valkey.find_binary())
        self._print_line("Starting Valkey …")
        server.prepare()
        self.supervisor.start(Program("valkey", server.command(), SERVICES))
        self.env["REDIS_URL"] = server.url
        return server

    def manage(self, *args: str) -> None:
        """Run one management command, which may migrate. Raises EmbeddedError with its last line if it fails."""
        command = [sys.executable, "manage.py", *args]
        env = {**os.environ, **self.env, **self._owner}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
            raise EmbeddedError(f"manage.py {args[0]} failed: {lines[-1]}")
        for line in done.stderr.splitlines():
            if line.startswith("database roles:"):
                self._print_line(line)

    def start_portal(self) -> list[Child]:
        """Start web, push gateway, worker and beat."""
        programs = [self._web(), self._gateway(), self._worker(), self._beat()]
        return [self.supervisor.start(program) for program in programs]

    def _web(self) -> Program:
        argv = web_command(self.options.port, web_processes())
        if self.options.reload:
            argv += ["--reload", "--reload-dir", "accounts", "--reload-dir", "drift", "--reload-dir", "portal"]
        env = {**self.env, **WEB_ENV, **metrics_environment()}
        return Program(
            "web", argv, FRONTEND, env, ready=lambda: responds(f"http://127.0.0.1:{self.options.port}/readyz?role=web")
        )

    def _gateway(self) -> Program:
        port = self.options.gateway_port
        return Program(
            "gateway",
            gateway_command(port),
            FRONTEND,
            self.env,
            ready=lambda: responds(f"http://127.0.0.1:{port}/healthz"),
        )

    def _worker(self) -> Program:
        return Program("worker", worker_command(concurrency=2), BACKEND, self.env)

    def _beat(self) -> Program:
        return Program("beat", beat_command(self.options.data / "beat-schedule"), BACKEND, self.env)


def responds(url: str) -> bool:
    """Return whether a GET of `url` returns 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - our own loopback address
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
