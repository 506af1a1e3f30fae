"""Parts of the portal that the network cuts off from each other: what is shown, and within how many seconds.

Each has a network namespace of its own. A cut lets nothing through and resets nothing, as a dead switch does.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from portal.command_lines import gateway_command, web_command, worker_command
from portal.embedded.postgres import PORTAL_ROLE
from tests.system.parts import Parts
from tests.system.segment import Segment
from tests.system.stack import eventually, free_port
from tests.system.test_portal_half_down import MAKE_ADMIN, save
from tests.system.test_rolling_restart import MAKE_TOKEN

pytestmark = pytest.mark.services

GONE_MILLISECONDS = 4_000
"""After which the portal gives a connection up that nobody acknowledges; 20,000 by default, here to be quick."""
BUSY = 45.0
"""Seconds that a busy machine may add before a test fails; what was measured is printed."""


class Spread(Parts):
    """Database, Redis, worker and gateway each at a place of its own; web and beat here."""

    def __init__(self, directory: Path, segment: Segment) -> None:
        self._pg, self._segment = directory / "pg", segment
        super().__init__(directory)
        database, queue, gateway = (segment.add(place) for place in ("database", "redis", "gateway"))
        segment.add("worker")
        self.gateway_port = free_port()
        self.env |= {
            "DATABASE_URL": f"postgresql://{PORTAL_ROLE}@{database}/driftwatch?tcp_user_timeout={GONE_MILLISECONDS}",
            "REDIS_URL": f"redis://{queue}:6379/0",
            "ALLOWED_HOSTS": segment.host,
            "WEB_THREADS": "8",
            "DATABASE_POOL": "9",
        }
        listening = ["-c", f"listen_addresses={database}"]
        self.commands["postgres"] = [*segment.command("database"), *self.commands["postgres"], *listening]
        bound = ["--port", "6379", "--bind", queue, "--protected-mode", "no"]
        self.commands["valkey"] = [*segment.command("redis"), *self.commands["valkey"], *bound]
        self.commands["gateway"] = [*segment.command("gateway"), *gateway_command(self.gateway_port, gateway)]
        self.commands["worker"] = [*segment.command("worker"), *worker_command(1)]
        self.commands["web"] = web_command(self.port, 1, segment.host)

    @property
    def url(self) -> str:
        return f"http://{self._segment.host}:{self.port}"

    def _prepare_database(self, *, migrate: bool) -> None:
        super()._prepare_database(migrate=migrate)
        with (self._pg / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {self._segment.network} trust\n")


class Network:
    """The portal, its network, and who calls it."""

    def __init__(self, parts: Spread, segment: Segment, token: str) -> None:
        self.parts, self.segment = parts, segment
        self._headers = {"Authorization": f"Bearer {token}"}

    def check(self, code: str) -> str:
        return str(httpx.get(f"{self.parts.url}/readyz", timeout=30).json()["checks"][code])

    def request(self) -> int:
        """The status of a request that needs the database."""
        return httpx.get(f"{self.parts.url}/api/v1/environments/", headers=self._headers, timeout=90).status_code

    def shows(self, what: str, shown: Callable[[], bool], seconds: float = 15.0) -> None:
        began = time.monotonic()
        eventually(shown, what, seconds + BUSY, pause=0.2)
        print(f"{what}: {time.monotonic() - began:.1f} s")


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    directory = Path(tempfile.mkdtemp(prefix="dws-"))
    segment = Segment()
    parts = None
    try:
        parts = Spread(directory, segment)
        parts.prepare()
        parts.manage("shell", "-c", MAKE_ADMIN)
        token = parts.manage("shell", "-c", MAKE_TOKEN).splitlines()[-1]
        parts.start("gateway", "worker", "beat", "web")
        made = Network(parts, segment, token)
        for code in ("gateway", "worker", "beat"):
            eventually(lambda code=code: made.check(code).startswith("ok"), f"{code} reports", 90)  # type: ignore[misc]
        yield made
    finally:
        if parts:
            parts.stop()
        segment.remove()
        shutil.rmtree(directory, ignore_errors=True)


def test_a_worker_and_a_gateway_that_are_cut_off_are_shown_and_go_on_by_themselves(network: Network) -> None:
    network.segment.cut("worker", "gateway")
    try:
        for code in ("worker", "gateway"):
            network.shows(f"{code} cut off", lambda code=code: network.check(code).startswith("failing: silent"))  # type: ignore[misc]
    finally:
        network.segment.mend("worker", "gateway")
    for code in ("worker", "gateway"):
        network.shows(f"{code} reached again", lambda code=code: network.check(code).startswith("ok"), 30)  # type: ignore[misc]


def test_web_that_is_cut_off_from_the_database_answers_503_and_goes_on_by_itself(network: Network) -> None:
    assert network.request() == 200
    answers: list[tuple[float, int]] = []
    network.segment.cut("database")
    began = time.monotonic()

    def ask() -> None:
        status = network.request()
        answers.append((time.monotonic() - began, status))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    try:
        for thread in threads:
            thread.start()
        ready = httpx.get(f"{network.parts.url}/readyz?role=web", timeout=60)
        print(f"database cut off, readyz: {time.monotonic() - began:.1f} s")
        assert ready.status_code == 503
        for thread in threads:
            thread.join(90)
        print(f"database cut off, {len(answers)} requests got 503: {max(answers)[0]:.1f} s")
        assert {status for _, status in answers} == {503}
    finally:
        network.segment.mend("database")
    network.shows("database reached again", lambda: network.request() == 200)
    network.shows("database reached again, worker", lambda: network.check("worker").startswith("ok"), 30)


def test_web_that_is_cut_off_from_redis_shows_it_and_goes_on_serving(network: Network) -> None:
    network.segment.cut("redis")
    try:
        network.shows("Redis cut off", lambda: network.check("redis").startswith("failing"))
        began = time.monotonic()
        assert network.request() == 200
        print(f"Redis cut off, a request: {time.monotonic() - began:.1f} s")
        save(network.parts, 1, "alert")
    finally:
        network.segment.mend("redis")
    network.shows("Redis reached again", lambda: network.check("redis").startswith("ok"), 30)
    spread = "SELECT count(*) FROM fleet_rollout WHERE finished_at IS NULL AND spread_at IS NULL"
    network.shows(
        "the version that was saved meanwhile is distributed", lambda: network.parts.rows(spread) == [(0,)], 30
    )
