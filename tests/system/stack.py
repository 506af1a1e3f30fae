"""All of Driftwatch as processes, for tests that click, kill and count."""

from __future__ import annotations

import atexit
import functools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg

from portal.embedded import postgres
from portal.serve.options import MAX_SOCKET_DIRECTORY

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """Return a port below the kernel's ephemeral range, so that no connection takes it before the program listens."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def eventually(condition: Callable[[], Any], what: str, seconds: float = 30, pause: float = 0.1) -> Any:
    """Wait until `condition` returns something true, and return it; AssertionError names what did not happen."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(pause)


class Stack:
    """`python -m portal.serve --demo` in a directory of its own."""

    def __init__(self, data: Path, *, sensors: bool = False) -> None:
        self.data = data
        self.port = free_port()
        self._sensors = sensors
        self._process: subprocess.Popen[str] | None = None
        self.output = data.with_name(data.name + ".out")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, timeout: float = 150) -> None:
        """Start it and wait until it reports that it is ready."""
        if not self._sensors and not self.data.exists():
            shutil.copytree(_started_once(), self.data, symlinks=True)
        self._start(timeout)

    def _start(self, timeout: float) -> None:
        command = [sys.executable, "-m", "portal.serve", "--demo", *([] if self._sensors else ["--no-sensors"])]
        inherited = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL", "SECRET_KEY"}}
        inherited.pop("ALLOWED_HOSTS", None)
        env = {**inherited, "PORT": str(self.port), "DATA_DIR": str(self.data)}
        with self.output.open("w") as out:
            self._process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out, text=True)
        eventually(self._has_started, "Driftwatch is ready", timeout)

    def _has_started(self) -> bool:
        assert self._process is not None and self._process.poll() is None, self.output.read_text()
        return "Driftwatch is ready" in self.output.read_text()

    def stop(self) -> int:
        """Stop it with SIGINT; return the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(timeout=60)

    @property
    def credentials(self) -> dict[str, Any]:
        return dict(json.loads((self.data / "demo-credentials.json").read_text()))

    def sign_in(self, role: str) -> tuple[str, str]:
        """(email, password) of the demo's user in `role`, e.g. "Security Admin"."""
        user = next(user for user in self.credentials["users"] if user["role"] == role)
        return user["email"], user["password"]

    def enrolment_token(self, account: str) -> str:
        return str(json.loads((self.data / "demo-tokens.json").read_text())[account])

    def kill(self, name: str) -> None:
        """Send SIGKILL to one program by the name of its log; one that has just exited is ignored."""
        with suppress(ProcessLookupError):
            os.kill(self.pid(name), signal.SIGKILL)

    def pid(self, name: str) -> int:
        """Return a program's pid; while it starts, its file is briefly empty."""
        file = self.data / "logs" / f"{name}.pid"
        return int(eventually(file.read_text, f"the pid of {name}"))

    def api(self) -> httpx.Client:
        """Call the API with the Owner's token."""
        headers = {"Authorization": f"Bearer {self.credentials['api_token']}"}
        return httpx.Client(base_url=f"{self.url}/api/v1/", headers=headers, timeout=30)

    def is_ready(self) -> bool:
        """Return whether the portal reports itself and its services ready."""
        try:
            return httpx.get(f"{self.url}/readyz?role=web", timeout=30).status_code == 200
        except httpx.HTTPError:
            return False

    @property
    def database_url(self) -> str:
        run = self.data / "run"
        assert len(str(run)) <= MAX_SOCKET_DIRECTORY
        return postgres.Postgres(self.data / "postgres", run, Path()).url()

    def rows(self, query: str, *args: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query, straight from the database."""
        with psycopg.connect(self.database_url, connect_timeout=5) as connection:
            return connection.execute(query, args).fetchall()


@functools.cache
def _started_once() -> Path:
    """A data directory to copy, in which it was started once: migrations and samples take most of a first start."""
    directory = Path(tempfile.mkdtemp(prefix="dws-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    first = Stack(directory / "data")
    first._start(timeout=240)
    assert first.stop() == 0, first.output.read_text()
    for name in ("logs", "run"):  # process ids and sockets of what has ended
        shutil.rmtree(first.data / name, ignore_errors=True)
    return first.data


class SensorProcess:
    """A real sensor program, started and killed by the test."""

    def __init__(self, stack: Stack, account: str, cluster: str, node: str, state: Path) -> None:
        self.stack, self.account, self.cluster, self.node, self.state = stack, account, cluster, node, state
        self.log = state.with_name(state.name + ".log")
        self._process: subprocess.Popen[bytes] | None = None

    def enrol(self) -> None:
        """Enrol it as a plain host of `cluster`."""
        options = ["--portal", self.stack.url, "--cluster", self.cluster, "--distribution", "other"]
        options += ["--node", self.node, "--state", str(self.state)]
        env = {**os.environ, "DRIFTWATCH_ENROLMENT_TOKEN": self.stack.enrolment_token(self.account)}
        command = [sys.executable, "-m", "sensor", "enrol", *options]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, *options: str) -> None:
        command = [sys.executable, "-m", "sensor", "run", "--state", str(self.state), *options]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(timeout=60)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None


def stop_all(sensors: Sequence[SensorProcess]) -> None:
    for sensor in sensors:
        if sensor.is_running:
            sensor.kill()
