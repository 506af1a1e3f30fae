"""Statements that are given up after a while, where the one who waits would rather have less."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled


class TooLong(Exception):
    """A statement was given up because it took too long."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """A transaction, each of whose statements may take so long. Raises TooLong."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                milliseconds = f"{max(seconds, 0.001) * 1_000:.0f}"
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [milliseconds])
            yield
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise TooLong from error
        raise
