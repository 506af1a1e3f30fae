"""Driftwatch's programs one by one, without a supervisor that would restart what a test kills."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
import psycopg

from portal.command_lines import beat_command, gateway_command, web_command, worker_command
from portal.embedded import postgres, valkey
from tests.system.stack import ROOT, eventually, free_port

SERVICES = ("postgres", "valkey")


class Parts:
    """PostgreSQL, Valkey, web, gateway, worker and beat; each is down until it is started."""

    def __init__(self, directory: Path, data: Path | None = None) -> None:
        """`data`: where PostgreSQL's directory is made, if not in `directory`."""
        self._directory, self._running = directory, dict[str, subprocess.Popen[bytes]]()
        self._database = postgres.Postgres((data or directory) / "pg", directory / "run", postgres.find_binaries())
        self._queue = valkey.Valkey(directory / "valkey", directory / "run" / "v.sock", valkey.find_binary())
        self.port, gateway = free_port(), free_port()
        self.env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "SECRET_KEY": "only for this test",
            "DATABASE_URL": self._database.url(role=postgres.PORTAL_ROLE),
            "MIGRATION_DATABASE_URL": self._database.url(),
            "REDIS_URL": self._queue.url,
            "PUBLIC_URL": self.url,
            "STREAM_URL": f"http://127.0.0.1:{gateway}/stream",
        }
        self.own_env: dict[str, dict[str, str]] = {}
        """What is added to the environment of one program."""
        self.commands = {
            "postgres": self._database.command(),
            "valkey": self._queue.command(),
            "web": _web(self.port),
            "gateway": gateway_command(gateway),
            "worker": worker_command(1),
            "beat": beat_command(directory / "beat"),
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def move_to(self, other: Parts) -> None:
        """Take over the other portal's addresses and secrets: its sensors find this one instead."""
        for name in ("SECRET_KEY", "PUBLIC_URL", "STREAM_URL"):
            self.env[name] = other.env[name]
        self.port = other.port
        self.commands["web"], self.commands["gateway"] = other.commands["web"], other.commands["gateway"]

    def prepare(self, *, migrate: bool = True) -> None:
        """The services up, the database made and, unless a test does so itself, migrated."""
        self._prepare_database(migrate=migrate)
        self._queue.prepare()
        self.start(*SERVICES)
        self._database.ensure_database()
        self._queue.wait()

    def _prepare_database(self, *, migrate: bool) -> None:
        if migrate:
            shutil.copytree(_migrated_once(), self._database.data, symlinks=True)
        self._database.prepare()

    def start(self, *names: str) -> None:
        """Start programs; wait only for web to respond."""
        for name in names:
            env = {**self.env, **self.own_env.get(name, {})}
            with (self._directory / f"{name}.log").open("ab") as log:
                self._running[name] = subprocess.Popen(
                    self.commands[name], cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True
                )
        if "web" in names:
            eventually(self._answers, "web answers", 90)

    def kill(self, *names: str) -> None:
        """Send SIGKILL to programs and everything they started."""
        for name in names:
            process = self._running.pop(name)
            os.killpg(process.pid, 9)
            process.wait()

    def revive(self, name: str) -> None:
        """Start a program again where it has ended, as a supervisor does."""
        if self._running[name].poll() is not None:
            self.start(name)

    def stop(self) -> None:
        self.kill(*reversed(list(self._running)))

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to one program, not to what it started."""
        self._running[name].send_signal(number)

    def pid(self, name: str) -> int:
        """Return the pid of a program, whose children have its session."""
        return self._running[name].pid

    def end(self, name: str) -> None:
        """End a program as an operator does, with SIGTERM, and wait until it has."""
        process = self._running.pop(name)
        process.terminate()
        process.wait(60)

    def restart(self, name: str) -> None:
        """End a program, and start it again once it has ended."""
        self.end(name)
        self.start(name)

    def manage(self, *words: str, given: str | None = None) -> str:
        """Return the output of `manage.py`; its standard input is `given`."""
        command = [sys.executable, "manage.py", *words]
        done = subprocess.run(
            command, cwd=ROOT, env=self.env, input=given, capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def collect_static_files(self) -> None:
        """Without them pages cannot be rendered; before web is started."""
        self.env["STATIC_ROOT"] = str(self._directory / "static")
        self.manage("collectstatic", "--no-input", "--verbosity", "0")

    def doctor(self) -> dict[str, str]:
        """Return the state of each condition of health, as `doctor` finds it."""
        command = [sys.executable, "manage.py", "doctor", "--json"]
        done = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=150, check=False)
        assert done.stdout, done.stderr
        return {row["code"]: row["state"] for row in json.loads(done.stdout)}

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query, straight from the database."""
        with psycopg.connect(self.env["DATABASE_URL"], connect_timeout=5) as connection:
            return connection.execute(query).fetchall()

    def log(self, name: str) -> list[str]:
        """Return the lines that a program has written."""
        return (self._directory / f"{name}.log").read_text().splitlines()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz").status_code == 200
        except httpx.HTTPError:
            return False


@functools.cache
def _migrated_once() -> Path:
    """PostgreSQL's directory to copy: making and migrating it takes longer than most tests need besides."""
    directory = Path(tempfile.mkdtemp(prefix="dws-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    first = Parts(directory)
    first.prepare(migrate=False)
    try:
        first.manage("migrate", "--verbosity", "0")
        first.end("postgres")
    finally:
        first.stop()
    return first._database.data


def _web(port: int) -> list[str]:
    return web_command(port, processes=1)
