"""Two roles of the database: the portal's at run time, and the owner of the tables, for migrations and erasure.

docs/operators.md#two-database-roles has what each may do.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

CONNECTION_KEYS: Final = ("USER", "PASSWORD", "HOST", "PORT", "OPTIONS")


def has_owner_role() -> bool:
    """Return whether MIGRATION_DATABASE_URL gives this process the owner's role."""
    return settings.DATABASE_OWNER is not None


def require_same_database() -> None:
    """Raise CommandError unless both roles' URLs lead to one database.

    Hosts and ports may differ, as with a pooler: a lock that one role takes must be seen by the other.
    """
    if settings.DATABASE_OWNER is None:
        return
    key = secrets.randbits(62)
    owner, portal = _extra_connection(settings.DATABASE_OWNER), _extra_connection(settings.DATABASE_PORTAL)
    try:
        with owner.cursor() as mine, portal.cursor() as theirs:
            mine.execute("SELECT pg_advisory_lock(%s)", [key])
            theirs.execute(
                "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database"
                " WHERE locktype = 'advisory' AND datname = current_database() AND objsubid = 1"
                " AND classid = %s AND objid = %s",
                [key >> 32, key & 0xFFFFFFFF],
            )
            is_same = theirs.fetchone() is not None
    finally:
        owner.close()
        portal.close()
    if not is_same:
        raise CommandError(
            "MIGRATION_DATABASE_URL and DATABASE_URL lead to different databases, and nothing was done:"
            " set both (docs/operators.md#two-database-roles)."
        )


@contextmanager
def as_database_owner() -> Iterator[None]:
    """Connect as the owner of the tables within this block; without MIGRATION_DATABASE_URL nothing changes.

    For commands alone, outside of transactions: every connection that the process opens meanwhile is the owner's.
    """
    with _default_connection(settings.DATABASE_OWNER or settings.DATABASE_PORTAL):
        yield


@contextmanager
def as_portal_role() -> Iterator[None]:
    """Connect as the portal's role, within a block of `as_database_owner` too."""
    with _default_connection(settings.DATABASE_PORTAL):
        yield


@contextmanager
def _default_connection(values: Mapping[str, Any]) -> Iterator[None]:
    current = connections.settings["default"]
    before = {key: current[key] for key in CONNECTION_KEYS}
    connection.close()
    current.update({key: values[key] for key in CONNECTION_KEYS})
    try:
        yield
    finally:
        connection.close()
        current.update(before)


def _extra_connection(values: Mapping[str, Any]) -> BaseDatabaseWrapper:
    made: BaseDatabaseWrapper = connection.copy()
    made.settings_dict.update({key: values[key] for key in CONNECTION_KEYS})
    return made
