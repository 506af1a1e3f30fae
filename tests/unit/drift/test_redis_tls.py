"""TLS to Redis and to Sentinels: each client of the portal verifies who it speaks to before it says its password."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import kombu.exceptions
import pytest
import redis
from celery import Celery
from cryptography import x509

from drift.redis_servers import async_client, broker_settings, sync_client
from tests.certificates import self_signed
from tests.redis_over_tls import HOST, RedisTls
from tests.system.stack import eventually, free_port

pytestmark = pytest.mark.services

PASSWORD: Final = "of the server"
SENTINEL_PASSWORD: Final = "of the Sentinel"


def ping_as_web(url: str) -> None:
    client = sync_client(url, socket_timeout=5, socket_connect_timeout=5)
    assert client.ping()
    client.close()


def ping_as_gateway(url: str) -> None:
    async def ping() -> None:
        client = async_client(url, socket_timeout=5, socket_connect_timeout=5)
        try:
            assert await client.ping()
        finally:
            await client.aclose()

    asyncio.run(ping())


def queue_a_task(url: str) -> None:
    """As worker, beat and whoever queues a task."""
    app = Celery("tls", set_as_current=False)
    app.conf.update(broker_settings(url))
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0)
        queue = connection.SimpleQueue("driftwatch-test")
        queue.put("a task")
        assert queue.get(timeout=10).payload == "a task"
        queue.close()


CLIENTS: Final = [ping_as_web, ping_as_gateway, queue_a_task]
REFUSED: Final = (redis.RedisError, OSError, kombu.exceptions.OperationalError)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisTls, dict[str, str]]]:
    """A server and a Sentinel, and their addresses by the way to them."""
    directory = tmp_path_factory.mktemp("redis")
    made, port, watcher = RedisTls(directory), free_port(), free_port()
    watched = (
        f"sentinel monitor driftwatch {HOST} {port} 1",
        f'sentinel auth-pass driftwatch "{PASSWORD}"',
        f'requirepass "{SENTINEL_PASSWORD}"',
    )
    commands = [
        made.server(port, directory, "--requirepass", PASSWORD),
        made.sentinel(watcher, directory / "sentinel.conf", *watched),
    ]
    secret, other = PASSWORD.replace(" ", "%20"), SENTINEL_PASSWORD.replace(" ", "%20")
    places = {
        "server": f"rediss://:{secret}@{HOST}:{port}/0",
        "sentinel": f"rediss+sentinel://:{secret}@{HOST}:{watcher}/driftwatch?sentinel_password={other}",
    }
    with (directory / "log").open("wb") as log:
        running = [subprocess.Popen(command, stdout=log, stderr=log) for command in commands]
    try:
        for port_, password in ((port, PASSWORD), (watcher, SENTINEL_PASSWORD)):
            client = redis.Redis(HOST, port_, password=password, ssl=True, ssl_ca_certs=str(made.authority))
            eventually(lambda client=client: answers(client), "it answers by TLS")  # type: ignore[misc]
        yield made, places
    finally:
        for process in running:
            process.terminate()
            process.wait(20)


def answers(client: redis.Redis) -> bool:
    with suppress(redis.RedisError):
        return bool(client.ping())
    return False


@pytest.mark.parametrize("way", ["server", "sentinel"])
@pytest.mark.parametrize("reach", CLIENTS)
def test_a_client_reaches_a_server_whose_authority_it_trusts(
    servers: tuple[RedisTls, dict[str, str]], reach: Callable[[str], None], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, places = servers
    monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
    reach(places[way])


@pytest.mark.parametrize("way", ["server", "sentinel"])
@pytest.mark.parametrize("reach", CLIENTS)
def test_a_client_refuses_a_server_of_another_authority(
    servers: tuple[RedisTls, dict[str, str]],
    reach: Callable[[str], None],
    way: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, places = servers
    certificate, _ = self_signed("another", x509.DNSName("another"))
    (tmp_path / "another.crt").write_bytes(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "another.crt"))
    with pytest.raises(REFUSED):
        reach(places[way])


@pytest.mark.parametrize("way", ["server", "sentinel"])
@pytest.mark.parametrize("reach", CLIENTS)
def test_a_client_refuses_a_server_whose_certificate_names_another_host(
    servers: tuple[RedisTls, dict[str, str]], reach: Callable[[str], None], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, places = servers
    monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
    with pytest.raises(REFUSED):
        reach(places[way].replace(HOST, "localhost"))
