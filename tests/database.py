"""The database as its owner sees it: what the portal's own role cannot do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection


@contextmanager
def as_owner() -> Iterator[Any]:
    """A cursor that works as the owner of the tables, in the test's own transaction or connection."""
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE NONE")
        yield cursor
        cursor.execute("RESET ROLE")


@contextmanager
def without_triggers() -> Iterator[Any]:
    """A cursor of an owner who has switched all triggers and foreign keys off."""
    with as_owner() as cursor:
        cursor.execute("SET session_replication_role = replica")
        yield cursor
        cursor.execute("SET session_replication_role = DEFAULT")
