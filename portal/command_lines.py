"""The command line of each process of the portal: what `driftwatch-portal` and `make run` start."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

WEB_THREADS = 8
"""Threads of each web process."""
WEB_ENV = {"WEB_THREADS": str(WEB_THREADS), "DATABASE_POOL": str(WEB_THREADS + 1)}
"""A database connection for each thread, and one for the health check."""
CELERY = [sys.executable, "-m", "celery", "-A", "portal.celery", "--quiet"]
"""Without its banner, which is no record of a log."""
MAX_WEB_PROCESSES = 4
"""About 130 MB each."""


def metrics_environment(parent: Path | None = None) -> dict[str, str]:
    """Return where the web processes of this start count for Prometheus, a new directory; {} without METRICS_TOKEN."""
    if not (os.environ.get("METRICS_TOKEN") or os.environ.get("METRICS_TOKEN_FILE")):
        return {}
    return {"PROMETHEUS_MULTIPROC_DIR": tempfile.mkdtemp(prefix="driftwatch-metrics-", dir=parent)}


def web_processes() -> int:
    """Return one web process per core: a Python process uses one core at a time."""
    return min(os.cpu_count() or 1, MAX_WEB_PROCESSES)


def web_command(port: int, processes: int, host: str = "127.0.0.1") -> list[str]:
    """Return the command line of the web server."""
    options = ["--host", host, "--port", str(port), "--workers", str(processes), "--log-level", "warning"]
    # Django itself reads X-Forwarded-For, from as many proxies as are ours; uvicorn would trust any on this machine.
    options += ["--http", "portal.connections:BoundedProtocol", "--ws", "none", "--no-proxy-headers", "--no-access-log"]
    options += ["--timeout-keep-alive", "30", "--timeout-graceful-shutdown", "5", "--timeout-worker-healthcheck", "60"]
    return [sys.executable, "-m", "uvicorn", "portal.front:application", *options]


def gateway_command(port: int, host: str = "127.0.0.1") -> list[str]:
    """Return the command line of the push gateway."""
    options = ["--host", host, "--port", str(port), "--log-level", "warning", "--no-access-log"]
    options += ["--http", "portal.connections:StreamProtocol", "--ws", "none", "--no-proxy-headers"]
    return [sys.executable, "-m", "uvicorn", "portal.gateway:application", *options, "--timeout-graceful-shutdown", "3"]


def worker_command(concurrency: int) -> list[str]:
    """Return the command line of a Celery worker with `concurrency` processes."""
    options = ["--concurrency", str(concurrency), "--loglevel", "info", "--without-gossip", "--without-mingle"]
    return [*CELERY, "worker", *options]


def beat_command(schedule: Path) -> list[str]:
    """Return the command line of Celery's beat, which keeps in `schedule` when it last sent each task."""
    return [*CELERY, "beat", "--schedule", str(schedule), "--pidfile", ""]
