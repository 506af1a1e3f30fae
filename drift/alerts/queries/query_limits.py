"""Statements that are given up after a while, where the one who waits would rather have less."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final, TypeVar

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

from accounts.models import User

T = TypeVar("T")
TOGETHER: Final = 3
"""Questions in turn that are answered at once, whoever asks: a few of the database's cores, and not all of them."""


class TooLong(Exception):
    """A statement was given up because it took too long."""


class Short(StrEnum):
    """Why one gets less than one asked for."""

    LATE = "late"
    """It took too long."""
    OWN = "own"
    """Nothing was asked: the user's last question is still being answered."""
    OTHERS = "others"
    """Nothing was asked: TOGETHER other users' are."""


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


CLAIM: Final = """
SELECT CASE
    WHEN NOT pg_try_advisory_xact_lock(hashtextextended('question of ' || %s, 0)) THEN 'own'
    WHEN NOT EXISTS (
        SELECT FROM generate_series(1, %s) AS place
        WHERE pg_try_advisory_xact_lock(hashtextextended('question ' || place, 0))
    ) THEN 'others'
END
"""
"""The locks end with the transaction: who asks and goes away keeps nobody off for longer than the question takes."""


def in_turn(user: User, seconds: float, question: Callable[[], T]) -> T | Short:
    """What the question gives, each of whose statements may take so long; a user has one at a time."""
    try:
        with at_most(seconds), connection.cursor() as cursor:
            cursor.execute(CLAIM, [user.pk, TOGETHER])
            (taken,) = cursor.fetchone()
            return Short(taken) if taken else question()
    except TooLong:
        return Short.LATE
