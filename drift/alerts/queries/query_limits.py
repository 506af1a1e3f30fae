"""Statement timeouts, and one expensive query at a time for each user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final, TypeVar

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

from accounts.models import User

T = TypeVar("T")
FULL_SCAN_SECONDS: Final = 5
"""How long a query over all alerts that match may take, where a user requests one."""
MAX_CONCURRENT: Final = 3
"""Expensive queries that run at once for all users: some of the database's cores, never all of them."""


class StatementTimeout(Exception):
    """The database cancelled a statement because it took too long."""


class QueryLimit(StrEnum):
    """The limit that kept an expensive query from returning a result."""

    TIMEOUT = "timeout"
    OWN_QUERY = "own_query"
    """It was not started: the user's previous query is still running."""
    OTHER_QUERIES = "other_queries"
    """It was not started: MAX_CONCURRENT queries of other users are running."""

    @property
    def is_busy(self) -> bool:
        """Whether the same request may succeed a little later."""
        return self != QueryLimit.TIMEOUT


@contextmanager
def statement_timeout(seconds: float) -> Iterator[None]:
    """Run a transaction in which no statement may take longer. Raises StatementTimeout."""
    try:
        with transaction.atomic():
            limit_statements(seconds)
            yield
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise StatementTimeout from error
        raise


def limit_statements(seconds: float) -> None:
    """Let no later statement of this transaction take longer."""
    with connection.cursor() as cursor:
        milliseconds = f"{max(seconds, 0.001) * 1_000:.0f}"
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [milliseconds])


# The locks end with the transaction, so a client that disconnects blocks others no longer than its query runs.
CLAIM: Final = """
SELECT CASE
    WHEN NOT pg_try_advisory_xact_lock(hashtextextended('question of ' || %s, 0)) THEN 'own_query'
    WHEN NOT EXISTS (
        SELECT FROM generate_series(1, %s) AS place
        WHERE pg_try_advisory_xact_lock(hashtextextended('question ' || place, 0))
    ) THEN 'other_queries'
END
"""


def run_limited(user: User, seconds: float, query: Callable[[], T]) -> T | QueryLimit:
    """Return the query's result, or the limit that it met: its time, one at a time per user, MAX_CONCURRENT in all."""
    try:
        with statement_timeout(seconds), connection.cursor() as cursor:
            cursor.execute(CLAIM, [user.pk, MAX_CONCURRENT])
            (limit,) = cursor.fetchone()
            return QueryLimit(limit) if limit else query()
    except StatementTimeout:
        return QueryLimit.TIMEOUT
