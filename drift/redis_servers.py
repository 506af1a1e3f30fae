"""Redis or Valkey by its address: one server, or the one that Sentinels call the master.

Plain, because the gateway has no Django. An address with Sentinels has the form of the library `limits`:
`redis+sentinel://[user:password@]host:port,host:port/SERVICE[/DATABASE][?sentinel_password=…]`; `rediss+sentinel://`
uses TLS, to the Sentinels too.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlsplit

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

SENTINEL_SCHEMES: Final = ("redis+sentinel", "rediss+sentinel")
SCHEMES: Final = ("redis", "rediss", "unix", *SENTINEL_SCHEMES)
SENTINEL_PORT: Final = 26379
SENTINEL_SECONDS: Final = 1.0
"""For each Sentinel: one that is away must not hold up a request until the next is asked."""


@dataclass(frozen=True)
class SentinelAddress:
    """Where the Sentinels are, and which of the services that they watch is meant."""

    sentinels: tuple[tuple[str, int], ...]
    service: str
    database: int
    username: str
    password: str
    sentinel_username: str
    sentinel_password: str
    is_encrypted: bool

    def server_options(self) -> dict[str, Any]:
        """Return redis-py's options of a connection to the master."""
        return {"db": self.database, **_credentials(self.username, self.password), **self._encryption()}

    def sentinel_options(self) -> dict[str, Any]:
        """Return redis-py's options of a connection to a Sentinel."""
        return {
            "socket_timeout": SENTINEL_SECONDS,
            "socket_connect_timeout": SENTINEL_SECONDS,
            **_credentials(self.sentinel_username, self.sentinel_password),
            **self._encryption(),
        }

    def _encryption(self) -> dict[str, Any]:
        return {"ssl": True} if self.is_encrypted else {}


def sentinel_address(url: str) -> SentinelAddress | None:
    """Return the parts of an address with Sentinels; None for one of a server. Raises ValueError if it is not valid."""
    parts = urlsplit(url)
    if parts.scheme not in SENTINEL_SCHEMES:
        return None
    login, _, places = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    service, _, database = parts.path.strip("/").partition("/")
    query = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    if not service or query.keys() - {"sentinel_username", "sentinel_password"}:
        raise ValueError("a service is missing, or a parameter is unknown")
    if database and not database.isdecimal():
        raise ValueError("the database is not a number")
    return SentinelAddress(
        tuple(_place(place) for place in places.split(",")),
        unquote(service),
        int(database or 0),
        unquote(username),
        unquote(password),
        query.get("sentinel_username", ""),
        query.get("sentinel_password", ""),
        parts.scheme.startswith("rediss"),
    )


def check_address(url: str) -> None:
    """Raise ValueError unless `url` is a valid address; it may hold a password, so the error does not show it."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ValueError("the scheme is unknown")
    if sentinel_address(url) is None:
        is_valid = bool(parts.path) if parts.scheme == "unix" else bool(parts.hostname) and parts.port != 0
        if not is_valid:
            raise ValueError("host, port or path is missing")
        databases = [*parse_qs(parts.query).get("db", []), "" if parts.scheme == "unix" else parts.path.strip("/")]
        if any(database and not database.isdecimal() for database in databases):
            raise ValueError("the database is not a number")


def place_of(url: str) -> str:
    """Return where an address leads, without user and password, for a person."""
    address = sentinel_address(url)
    if address is not None:
        return f"{address.service} of " + ", ".join(f"{host}:{port}" for host, port in address.sentinels)
    parts = urlsplit(url)
    return parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"


def sync_client(url: str, **options: Any) -> redis.Redis:
    """Return a client of the server, or of whichever server is the master when it connects."""
    address = sentinel_address(url)
    if address is None:
        return redis.Redis.from_url(url, **options)
    watchers = Sentinel(  # type: ignore[no-untyped-call]
        list(address.sentinels),
        sentinel_kwargs={**address.sentinel_options(), "retry": Retry(NoBackoff(), 0)},
        **{**address.server_options(), **options},
    )
    client: redis.Redis = watchers.master_for(address.service, redis.Redis)  # type: ignore[no-untyped-call]
    return client


def async_client(url: str, **options: Any) -> redis.asyncio.Redis:
    """Return the same for asyncio."""
    address = sentinel_address(url)
    if address is None:
        return redis.asyncio.Redis.from_url(url, **options)
    watchers = AsyncSentinel(  # type: ignore[no-untyped-call]
        list(address.sentinels),
        sentinel_kwargs={**address.sentinel_options(), "retry": AsyncRetry(NoBackoff(), 0)},
        **{**address.server_options(), **options},
    )
    client: redis.asyncio.Redis = watchers.master_for(address.service, redis.asyncio.Redis)
    return client


class ConnectionPool:
    """What Django's cache makes its connections with."""

    @staticmethod
    def from_url(url: str, **options: Any) -> redis.ConnectionPool:
        """Return the pool of a new client."""
        return sync_client(url, **options).connection_pool


def broker_settings(url: str) -> dict[str, Any]:
    """Return Celery's settings of the broker: `broker_url`, and what belongs to Sentinels."""
    address = sentinel_address(url)
    # Without it Celery trusts any certificate; redis-py verifies by itself.
    encryption = {"broker_use_ssl": {"ssl_cert_reqs": ssl.CERT_REQUIRED}} if url.startswith("rediss") else {}
    if address is None:
        # Celery's form of a Unix socket.
        broker_url = url.replace("unix://", "redis+socket://", 1) if url.startswith("unix://") else url
        return {"broker_url": broker_url, **encryption}
    login = f"{quote(address.username, safe='')}:{quote(address.password, safe='')}@" if address.password else ""
    places = [f"sentinel://{login}{_joined(host, port)}/{address.database}" for host, port in address.sentinels]
    options = {"master_name": address.service, "sentinel_kwargs": address.sentinel_options()}
    return {"broker_url": ";".join(places), "broker_transport_options": options, **encryption}


def _place(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.port == 0:
        raise ValueError("a Sentinel has no host, or its port is 0")
    return parts.hostname, parts.port or SENTINEL_PORT


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _credentials(username: str, password: str) -> dict[str, str]:
    return {name: value for name, value in (("username", username), ("password", password)) if value}
