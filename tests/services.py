"""A pytest plugin that runs before Django's settings are read: it starts PostgreSQL and Valkey.

Loaded by `-p tests.services` (pyproject.toml). With `-n` each of pytest-xdist's workers starts its own, and the
process that hands out the tests none. `make test-fast` sets DRIFTWATCH_TEST_NO_SERVICES=1: then nothing is started,
and only tests without the marker `services` can run.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import pytest

from portal.embedded import postgres, valkey


def start() -> tuple[str, str]:
    """Servers that live as long as this process: (DATABASE_URL, REDIS_URL)."""
    root = Path(tempfile.mkdtemp(prefix="dwt-"))
    database = postgres.Postgres(root / "pg", root / "run", postgres.find_binaries(), durable=False)
    queue = valkey.Valkey(root / "valkey", root / "run" / "v.sock", valkey.find_binary())
    servers = []
    for service in (database, queue):
        service.prepare()
        log = (root / "log").open("ab")
        servers.append(subprocess.Popen(service.command(), stdout=log, stderr=log, start_new_session=True))

    def stop() -> None:
        for server in servers:
            server.send_signal(signal.SIGINT)  # PostgreSQL's fast stop: a test may have left a connection open
        for server in servers:
            server.wait(timeout=20)
        shutil.rmtree(root, ignore_errors=True)

    atexit.register(stop)
    database.ensure_database()
    queue.wait()
    # As the portal's role, from the first statement on; a test can leave it (tests/database.py).
    role = quote(f"-c role={postgres.PORTAL_ROLE}")
    os.environ["MIGRATION_DATABASE_URL"] = database.url()
    return f"{database.url()}&options={role}", queue.url


def _runs_tests(config: pytest.Config) -> bool:
    """Whether tests that need the services may run in this process."""
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    hands_out = getattr(config.known_args_namespace, "numprocesses", None) and not is_worker
    return not hands_out and not os.environ.get("DRIFTWATCH_TEST_NO_SERVICES")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Set what settings.py requires before pytest-django loads it."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
    os.environ["SECRET_KEY"] = "only for tests"
    os.environ.setdefault("ALLOWED_HOSTS", "testserver,127.0.0.1,localhost")
    # Playwright's event loop runs in the test's own thread; nothing here is asynchronous.
    os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    if _runs_tests(early_config):
        os.environ["DATABASE_URL"], os.environ["REDIS_URL"] = start()
    else:
        os.environ["DATABASE_URL"], os.environ["REDIS_URL"] = "postgresql://none@/none", "redis://127.0.0.1:1/0"
