"""The rest of a portal for the benchmark of rollouts: gateway, worker and beat beside the one web process."""

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
from pathlib import Path

from bench.ingest_portal import Portal, portal
from portal.serve.stack import responds

ROOT = Path(__file__).resolve().parent.parent
TICK = os.sysconf("SC_CLK_TCK")
PROGRAMS = {
    "portal.front": "web",
    "portal.gateway": "gateway",
    "celery": "worker",
    "postgres": "postgres",
    "valkey": "valkey",
}
"""What a program's command line says, and what it is called in tables."""


class Programs:
    """Gateway, worker and beat as processes of ours."""

    def __init__(self, web: Portal, gateway_port: int, directory: Path) -> None:
        self.web, self.gateway_port = web, gateway_port
        self._directory = directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start_all(self) -> None:
        celery = [sys.executable, "-m", "celery", "-A", "portal.celery"]
        self._start("worker", [*celery, "worker", "--concurrency", "2", "--without-gossip", "--without-mingle"])
        self._start("beat", [*celery, "beat", "--schedule", str(self._directory / "beat"), "--pidfile", ""])
        self.start_gateway()

    def start_gateway(self) -> None:
        """Until it responds."""
        port = str(self.gateway_port)
        command = [sys.executable, "-m", "uvicorn", "--port", port, "--log-level", "warning"]
        self._start("gateway", [*command, "--timeout-graceful-shutdown", "3", "portal.gateway:application"])
        deadline = time.monotonic() + 30
        while not responds(f"http://127.0.0.1:{port}/healthz"):
            if time.monotonic() > deadline:
                sys.exit("bench: the gateway does not answer")
            time.sleep(0.05)

    def kill_gateway(self) -> None:
        self._running["gateway"].kill()
        self._running["gateway"].wait()

    def gateway_memory(self) -> int:
        """Resident bytes."""
        status = Path(f"/proc/{self._running['gateway'].pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def stop(self) -> None:
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        for process in self._running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name: str, command: list[str]) -> None:
        with (self._directory / f"{name}.log").open("ab") as out:
            self._running[name] = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, start_new_session=True)


@contextmanager
def programs() -> Iterator[Programs]:
    """A whole portal, empty but for version 1; this process is its Django too."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    os.environ["STREAM_URL"] = f"http://127.0.0.1:{port}/stream"
    directory = Path(tempfile.mkdtemp(prefix="dwr-"))
    with portal(processes=1) as web:
        running = Programs(web, port, directory)
        try:
            running.start_all()
            yield running
        finally:
            running.stop()
            if not os.environ.get("KEEP"):
                shutil.rmtree(directory, ignore_errors=True)


def processor_seconds() -> dict[str, float]:
    """User and system time so far of each program among our descendants, and of this simulator."""
    parents, times, names = {}, {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text, words = stat.read_text(), (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue
        pid, fields = int(stat.parent.name), text.rpartition(")")[2].split()
        parents[pid], times[pid] = int(fields[1]), (int(fields[11]) + int(fields[12])) / TICK
        names[pid] = next((name for word, name in PROGRAMS.items() if word.encode() in words), "")
    for pid, name in names.items():
        # The workers of a server that starts several are children without its command line.
        names[pid] = name or names.get(parents.get(pid, 0), "")
    found = {"simulator": times[os.getpid()]}
    for pid, name in names.items():
        if name and _descends(pid, parents):
            found[name] = found.get(name, 0.0) + times[pid]
    return found


def _descends(pid: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == os.getpid():
            return True
    return False
