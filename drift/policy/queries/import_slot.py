"""One import at a time for each user: reading a large document takes a second of processor time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from accounts.models import User


@contextmanager
def import_slot(user: User) -> Iterator[bool]:
    """Hold the user's slot, in a transaction; yield False where another import of theirs has it."""
    # A lock of the transaction, so that a process that dies gives it back.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended('import of ' || %s, 0))", [user.pk])
        (is_free,) = cursor.fetchone()
        yield bool(is_free)
