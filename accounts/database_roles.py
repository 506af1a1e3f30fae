"""Two roles of the database: the portal's at run time, and the owner of the tables, for migrations and erasure.

docs/operators.md#two-database-roles has what each may do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from django.conf import settings
from django.db import connection, connections

CONNECTION_KEYS: Final = ("USER", "PASSWORD", "HOST", "PORT", "OPTIONS")


def has_owner_role() -> bool:
    """Return whether MIGRATION_DATABASE_URL gives this process the owner's role."""
    return settings.DATABASE_OWNER is not None


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
