"""Valkey's master is killed under load, twice, and Sentinels choose another: no request fails, no version is lost.

REDIS_URL names the Sentinels (docs/scale.md#valkey-with-sentinels). Once more with Redis, over TLS alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import httpx
import pytest
import redis

from portal.command_lines import WEB_ENV, web_command
from portal.embedded import valkey
from tests.redis_over_tls import RedisTls
from tests.results import Figure
from tests.system.parts import Parts
from tests.system.stack import eventually, free_port
from tests.system.test_portal_half_down import MAKE_ADMIN, Node, save
from tests.system.test_rolling_restart import MAKE_TOKEN, Load

pytestmark = pytest.mark.services

SERVICE: Final = "driftwatch"
SERVERS: Final = ("valkey-1", "valkey-2")
SENTINELS: Final = ("sentinel-1", "sentinel-2", "sentinel-3")
DOWN_AFTER: Final = 2_000
"""Milliseconds of silence after which a Sentinel takes the master for dead."""
PASSWORD: Final = "of the servers"


class Watched(Parts):
    """A portal with two Valkeys and three Sentinels, or with `tls` two servers of Redis."""

    def __init__(self, directory: Path, tls: RedisTls | None) -> None:
        super().__init__(directory)
        self.kind = "Redis over TLS" if tls else "Valkey"
        self.ports = {name: free_port() for name in (*SERVERS, *SENTINELS)}
        places = ",".join(f"127.0.0.1:{self.ports[name]}" for name in SENTINELS)
        scheme = "rediss+sentinel" if tls else "redis+sentinel"
        self.env |= {**WEB_ENV, "REDIS_URL": f"{scheme}://:{PASSWORD.replace(' ', '%20')}@{places}/{SERVICE}"}
        self._options: dict[str, Any] = {}
        if tls:
            self.env["SSL_CERT_FILE"] = str(tls.authority)
            self._options = {"ssl": True, "ssl_ca_certs": str(tls.authority)}
        self.commands["web"] = web_command(self.port, 2)
        for name in SERVERS:
            data = directory / name
            data.mkdir()
            words = ["--appendonly", "yes", "--requirepass", PASSWORD, "--masterauth", PASSWORD]
            server = tls.server(self.ports[name], data) if tls else _valkey(self.ports[name], data)
            self.commands[name] = [*server, *words]
        self.commands[SERVERS[1]] += ["--replicaof", "127.0.0.1", str(self.ports[SERVERS[0]])]
        watched = (
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.ports[SERVERS[0]]} 2",
            f'sentinel auth-pass {SERVICE} "{PASSWORD}"',
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER}",
            f"sentinel failover-timeout {SERVICE} 10000",
        )
        for name in SENTINELS:
            file, port = directory / f"{name}.conf", self.ports[name]
            self.commands[name] = tls.sentinel(port, file, *watched) if tls else _sentinel(port, file, *watched)

    def client(self, name: str) -> redis.Redis:
        """Call a server or a Sentinel."""
        password = PASSWORD if name in SERVERS else None
        return redis.Redis(port=self.ports[name], host="127.0.0.1", password=password, **self._options)

    def start_queue(self) -> None:
        self.start(*SERVERS)
        replica = self.client(SERVERS[1])
        eventually(lambda: _field(replica, "replication", "master_link_status") == "up", "the replica follows", 30)
        self.start(*SENTINELS)
        eventually(lambda: all(self._knows_all(name) for name in SENTINELS), "the Sentinels know each other", 30)

    def master(self) -> str:
        """The name of the server that the Sentinels call the master."""
        _, port = cast("tuple[str, int]", self.client(SENTINELS[0]).sentinel_get_master_addr_by_name(SERVICE))
        return next(name for name in SERVERS if self.ports[name] == port)

    def _knows_all(self, name: str) -> bool:
        try:
            state = cast("dict[str, Any]", self.client(name).sentinel_master(SERVICE))
        except redis.RedisError:
            return False
        return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)


def _valkey(port: int, data: Path) -> list[str]:
    return [str(valkey.find_binary()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(data)]


def _sentinel(port: int, file: Path, *lines: str) -> list[str]:
    file.write_text("\n".join([f"port {port}", "bind 127.0.0.1", *lines]) + "\n")
    return [str(valkey.find_binary()), str(file), "--sentinel"]


def _field(client: redis.Redis, section: str, name: str) -> object:
    try:
        return client.info(section)[name]
    except (redis.RedisError, KeyError):
        return None


@pytest.fixture(params=[False, True], ids=["Valkey", "Redis over TLS"])
def watched(directory: Path, request: pytest.FixtureRequest) -> Iterator[Watched]:
    made = Watched(directory, RedisTls(directory) if request.param else None)
    try:
        made.prepare()
        made.kill("valkey")  # the embedded one, which nothing uses here
        made.start_queue()
        yield made
    finally:
        made.stop()


def check(parts: Parts, code: str) -> str:
    return str(httpx.get(f"{parts.url}/readyz", timeout=30).json()["checks"][code])


def test_no_request_fails_and_no_version_is_lost_while_sentinels_choose_another_master(
    watched: Watched, tmp_path: Path, figure: Figure
) -> None:
    watched.manage("shell", "-c", MAKE_ADMIN)
    token = watched.manage("shell", "-c", MAKE_TOKEN).splitlines()[-1]
    watched.start("web", "gateway", "worker", "beat")
    node = Node(watched, tmp_path)
    node.enrol()
    node.start()
    eventually(lambda: node.number() == 1, "version 1 is applied", 60)
    load = Load(watched.url, token)
    number = 1
    try:
        for _ in range(2):
            old = watched.master()
            watched.kill(old)
            killed = time.monotonic()
            save(watched, number, ("ignore", "alert")[number % 2])
            number += 1
            eventually(lambda old=old: watched.master() != old, "another master is chosen", 60)  # type: ignore[misc]
            chosen = time.monotonic() - killed
            eventually(lambda: check(watched, "redis").startswith("ok"), "Redis responds", 60)
            for code in ("worker", "beat", "gateway"):
                eventually(lambda code=code: check(watched, code).startswith("ok"), f"{code} reports", 60)  # type: ignore[misc]
            reports = time.monotonic() - killed
            eventually(lambda number=number: node.number() == number, f"version {number} is applied", 60)  # type: ignore[misc]
            applied = time.monotonic() - killed
            figure(
                f"{watched.kind}: another master", f"after {chosen:.1f} s, all processes report after {reports:.1f} s"
            )
            figure(f"{watched.kind}: the version saved meanwhile", f"applied after {applied:.1f} s")
            watched.start(old)  # it becomes the replica of the other
            replica = watched.client(old)
            eventually(
                lambda replica=replica: _field(replica, "replication", "master_link_status") == "up",  # type: ignore[misc]
                "the old master follows the new one",
                60,
            )
    finally:
        load.end()
        node.stop()
    failed = len(load.failures)
    figure(f"{watched.kind}: requests meanwhile", f"{failed} of {load.done} failed", goal="0", kept=not failed)
    assert load.failures == []
    tracebacks = [
        name for name in ("web", "gateway", "worker", "beat") if any("Traceback" in line for line in watched.log(name))
    ]
    assert tracebacks == []
