"""What a process needs before it starts: settings, services, the database's version, static files.

A need that may come by itself (a database that is starting, migrations that are running) is waited for; what is still
missing afterwards ends the start with one line.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import redis
from django.core.exceptions import ImproperlyConfigured

from drift.redis_servers import place_of, sync_client
from portal import config

PAUSE: Final = 1.0
"""Seconds between two looks."""


class NeedMissing(Exception):
    """One line: what the process needs and does not have."""


def wait_for(needs: list[Callable[[], None]], seconds: float) -> None:
    """Call each of `needs` until none raises NeedMissing. Prints what it waits for, once each.

    Raises NeedMissing with the last line after `seconds`.
    """
    deadline, said = time.monotonic() + seconds, ""
    for need in needs:
        while True:
            try:
                need()
                break
            except NeedMissing as missing:
                if time.monotonic() >= deadline:
                    raise
                if str(missing) != said:
                    said = str(missing)
                    sys.stderr.write(f"driftwatch-portal: waiting: {said}\n")
            time.sleep(PAUSE)


def settings_are_valid() -> None:
    """Load Django with its settings. Raises NeedMissing if one is missing or wrong."""
    import django

    try:
        django.setup()
    except ImproperlyConfigured as error:
        raise NeedMissing(str(error)) from None


def gateway_settings_are_valid() -> None:
    """Read the gateway's two settings; it has no Django. Raises NeedMissing if one is missing."""
    try:
        config.secret("SECRET_KEY", "")
        config.redis_address()
    except ImproperlyConfigured as error:
        raise NeedMissing(str(error)) from None


def database_responds() -> None:
    """Raise NeedMissing if PostgreSQL does not respond, or refuses the portal's role."""
    from django.conf import settings
    from django.db import DatabaseError, connection

    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, OSError) as error:
        place = settings.DATABASES["default"]
        where = f"{place['HOST'] or 'the local socket'}:{place['PORT'] or 5432}"
        raise NeedMissing(f"PostgreSQL at {where} (DATABASE_URL): {_first_line(error)}") from None
    finally:
        connection.close()


def address_is_free(host: str, port: int) -> None:
    """Raise NeedMissing if no server can listen at this address, which another program may have."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as server:
            # As the server itself does: connections of the one before may be closing still.
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(address)
    except OSError as error:
        raise NeedMissing(f"{host}:{port} (--host, --port): {error.strerror}") from None
    except UnicodeError:
        raise NeedMissing(f"{host}:{port} (--host, --port): not a host name") from None


def redis_responds() -> None:
    """Raise NeedMissing if Redis or Valkey does not respond."""
    url = config.redis_address()
    where = place_of(url)
    try:
        client = sync_client(url, socket_timeout=2, socket_connect_timeout=2)
        client.ping()
        client.close()
    except (redis.RedisError, OSError, ValueError) as error:
        raise NeedMissing(f"Redis at {where} (REDIS_URL): {_first_line(error)}") from None


def database_has_this_version() -> None:
    """Raise NeedMissing while a migration of this version is not applied.

    A database that is ahead is right: during an upgrade the processes of the version before go on.
    """
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    finally:
        connection.close()
    if missing:
        raise NeedMissing(
            f"the database lacks {len(missing)} migrations of this version, first {missing[0][0]}:"
            " run `driftwatch-portal migrate`"
        )


def static_files_are_collected() -> None:
    """Collect the static files of this version into STATIC_ROOT, where they are not there yet.

    Raises NeedMissing if they are not and cannot be.
    """
    from django.conf import settings
    from django.core.management import call_command

    from sensor.version import VERSION

    root = Path(settings.STATIC_ROOT)
    stamp = root / ".version"
    if (root / "staticfiles.json").exists() and stamp.exists() and stamp.read_text() == VERSION:
        return
    try:
        root.mkdir(parents=True, exist_ok=True)
        call_command("collectstatic", interactive=False, verbosity=0)
        stamp.write_text(VERSION)
    except OSError as error:
        raise NeedMissing(
            f"static files cannot be collected into {root} (STATIC_ROOT): {error.strerror or error}"
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
